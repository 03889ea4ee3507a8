"""The groups of a row's columns, as docs/columns.md describes them: how a row is shown to people."""

from collections.abc import Mapping
from typing import Any

GROUPS: Mapping[str, tuple[str, ...]] = {
    "The row": (
        "rowId",
        "triggerDatetime",
        "act",
        "t",
        "algo",
        "attr",
        "new",
        "notes",
        "leadScore",
        "lands",
    ),
    "Installation and segments": (
        "igrp",
        "orgId",
        "dgrp",
        "dgrpName",
        "dgrpRef",
        "segment",
        "segmentName",
        "segmentRef",
        "segmentGroupId",
        "segmentGroupName",
    ),
    "Channel and source": (
        "ch",
        "chName",
        "chType",
        "src",
        "srcHash",
        "vref",
        "href",
        "pub",
        "term",
        "num",
        "pageTitle",
        "landingPageUrl",
        "conversionPageUrl",
        "ppcAssisted",
    ),
    "Details of the visit": (
        "ref",
        "dom",
        "host",
        "network",
        "campaign",
        "adGroup",
        "adRef",
        "keywordRef",
        "matchType",
        "matchRef",
        "landingPageId",
        "conversionPageId",
    ),
    "Goals": (
        "goal",
        "goalTitle",
        "goalValue",
        "goalCurrency",
    ),
    "Transactions": (
        "txr",
        "txv",
        "txc",
        "outcomeType",
    ),
    "Calls": (
        "srcPhoneNumber",
        "dialledPhoneNumber",
        "destPhoneNumber",
        "customerPhoneNumber",
        "callDuration",
        "bridgeDuration",
        "ringTime",
        "ivrDuration",
        "queueDuration",
        "callState",
        "callStage",
        "callDirection",
        "callRating",
        "callRatingId",
        "operatorRef",
        "operatorRealm",
        "ivrRef",
        "dialplanRef",
        "telcoCode",
        "numType",
        "rec",
    ),
    "What was found in recordings": (
        "callTranscription",
        "callKeywordSpotting",
        "transcriptionConfidence",
        "totalKeywordScore",
        "totalOperatorKeywordScore",
        "totalContactKeywordScore",
        "operatorPositiveKeywordCount",
        "operatorNeutralKeywordCount",
        "operatorNegativeKeywordCount",
        "contactPositiveKeywordCount",
        "contactNeutralKeywordCount",
        "contactNegativeKeywordCount",
        "callPciDataChecked",
        "callPciDataFound",
        "callSsnDataChecked",
        "callSsnDataFound",
        "callPiiDataChecked",
        "callPiiDataFound",
    ),
    "Charges": (
        "callCharge",
        "perMinuteCharge",
        "chargeCurrencyCode",
    ),
    "Visitor": (
        "vid",
        "visitorType",
        "visitorFirstDatetime",
        "visitorPageCount",
        "visitorGoalCount",
        "visitorCallCount",
        "ip",
        "whois",
        "ua",
        "res",
        "spider",
        "continent",
        "country",
        "region",
        "area",
        "city",
        "postcode",
        "lat",
        "long",
        "sfWhoRef",
    ),
}
"""In the order of the page."""
TAGS = "Tags of your own"
TAG_PREFIXES = ("pt_", "c_")
OTHERS = "Other columns"
_GROUP_OF = {column: group for group, columns in GROUPS.items() for column in columns}


def grouped(row: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The columns of a row by their groups, without empty groups. Unknown columns come last.

    >>> grouped({"c_1": "x", "rowId": "7", "strange": None})
    [('The row', {'rowId': '7'}), ('Tags of your own', {'c_1': 'x'}), ('Other columns', {'strange': None})]
    """
    found: dict[str, dict[str, Any]] = {group: {} for group in (*GROUPS, TAGS, OTHERS)}
    for column, value in row.items():
        own = TAGS if column.startswith(TAG_PREFIXES) else OTHERS
        found[_GROUP_OF.get(column, own)][column] = value
    return [(group, columns) for group, columns in found.items() if columns]
