"""Who visits the website: the columns that stay the same on every row of one visitor."""

from hashlib import md5
from random import Random
from uuid import UUID

from relay.sandbox.catalogue import BROWSERS, CAMPAIGNS, CHANNELS, PAGES, SEGMENTS, TOWNS
from relay.sandbox.columns import SHARED, VISIT, Row

ZERO_TIME = "0000-00-00 00:00:00"
"""How the upstream writes a time that is not known (hazard H21)."""

_WEIGHTS = [channel[-1] for channel in CHANNELS]


def visitor(random: Random, *, igrp: int, first_seen: str) -> Row:
    """Make the columns of a visitor of the website: where from, with what, for which segment."""
    town = random.choice(TOWNS)
    row = {
        **SHARED,
        **VISIT,
        **origin(random, igrp=igrp),
        **_channel(random),
        "vid": str(UUID(int=random.getrandbits(128), version=4)),
        "new": random.choice("012"),
        "ip": f"203.0.113.{random.randrange(1, 255)}",
        "whois": "Example Broadband Ltd",
        "ua": random.choice(BROWSERS),
        "res": random.choice(("2560x1440", "1920x1080", "390x844")),
        "country": "FR" if town[0] == "Saint-Denis" else "GB",
        "continent": "EU",
        "visitorType": random.choices(("", "S", "I"), (95, 3, 2))[0],
        "visitorFirstDatetime": first_seen if random.random() < 0.97 else ZERO_TIME,
        "landingPageId": str(random.randrange(1, 400)),
        **dict(zip(("city", "region", "area", "postcode", "lat", "long"), town, strict=True)),
    }
    if random.random() < 0.3:
        row["pt_gclid"] = f"{random.getrandbits(96):024x}"
        row["pt_utm_source"] = row["src"]
    return row


def origin(random: Random, *, igrp: int) -> Row:
    """Make the columns that say whose row it is: installation, segment and organisation."""
    segment, name, ref, organisation = random.choice(SEGMENTS)
    return {
        "igrp": str(igrp),
        "segment": segment,
        "segmentName": name,
        "segmentRef": ref,
        "segmentGroupName": "Default",
        "orgId": organisation,
        "telcoCode": "ict",
        "numType": "37",
    }


def _channel(random: Random) -> Row:
    ch, name, kind, src, _ = random.choices(CHANNELS, _WEIGHTS)[0]
    landing = f"https://www.harbour.example{random.choice(PAGES)}"
    row = {
        "ch": ch,
        "chName": name,
        "chType": kind,
        "src": src,
        "srcHash": md5(src.encode(), usedforsecurity=False).hexdigest(),
        "host": "www.harbour.example",
        "href": landing,
    }
    if kind == "ppc":
        campaign, ad_group, term = random.choice(CAMPAIGNS)
        row |= {"campaign": campaign, "adGroup": ad_group, "term": term, "network": "g", "matchType": "e"}
        row["keywordRef"] = str(random.randrange(10**6, 10**7)) if campaign else ""
    if kind in {"ppc", "seo"}:
        row |= {"dom": f"www.{src}.example", "vref": f"https://www.{src}.example/"}
    return row
