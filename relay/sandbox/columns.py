"""The columns of a trigger row, by the group in which the upstream joins them in (infinity-api.md 5).

A group that has nothing to do with a row is missing from it as a whole (hazard H9): a landing has 98 columns, a leg of
a call 77. Every value is a string but for the computed columns (hazard H8).
"""

from typing import Any

Row = dict[str, Any]
"""One record as the upstream sends it: columns by name, values nearly always strings."""

_SHARED_TEXT = """
    rowId triggerDatetime igrp dgrp ch src act algo attr vref href num term vid t goal srcHash new pageTitle pub segment
    segmentGroupId dialledPhoneNumber srcPhoneNumber destPhoneNumber operatorRef ivrRef dialplanRef callRating callState
    callDirection callStage operatorRealm telcoCode numType chName chType segmentName segmentRef orgId segmentGroupName
    notes leadScore
"""
_SHARED_NUMBERS = """
    callDuration bridgeDuration ringTime ivrDuration queueDuration rec transcriptionConfidence totalKeywordScore
    totalOperatorKeywordScore totalContactKeywordScore operatorPositiveKeywordCount operatorNeutralKeywordCount
    operatorNegativeKeywordCount contactPositiveKeywordCount contactNeutralKeywordCount contactNegativeKeywordCount
    callPciDataChecked callPciDataFound callSsnDataChecked callSsnDataFound callPiiDataChecked callPiiDataFound
    callKeywordSpotting callTranscription
"""
_VISIT_TEXT = """
    dom ref network matchRef matchType campaign adGroup adRef keywordRef whois ip ua country city continent res lat long
    region postcode area spider host visitorType sfWhoRef visitorFirstDatetime
"""
_VISIT_NUMBERS = "visitorPageCount visitorGoalCount visitorCallCount landingPageId conversionPageId"

SHARED: Row = {
    **dict.fromkeys(_SHARED_TEXT.split(), ""),
    **dict.fromkeys(_SHARED_NUMBERS.split(), "0"),
    **dict.fromkeys(("dgrp", "ch", "goal", "new", "segmentGroupId", "leadScore"), "0"),
}
"""What every row has, with the value that stands for nothing."""

VISIT: Row = {**dict.fromkeys(_VISIT_TEXT.split(), ""), **dict.fromkeys(_VISIT_NUMBERS.split(), "0")}
"""Joined in where a visitor of the website is known."""

SALE: Row = {
    "txr": "",
    "txv": "0.00",
    "txc": "",
    "goalValue": "0.00",
    "goalCurrency": "",
    "outcomeType": "",
    "dgrpName": "",
    "dgrpRef": "",
    "callRatingId": "0",
    "lands": 0,
}
"""Joined in where something was called or bought. `lands` is computed, hence a number."""

NEWER = ("customerPhoneNumber", "landingPageUrl", "conversionPageUrl", "ppcAssisted", "goalTitle")
"""Seen by third parties only. `ppcAssisted` is a number, 1 or 0."""

_CHARGE = """
    rowId callDuration srcPhoneNumber dialledPhoneNumber destPhoneNumber callDirection callCharge chargeCurrencyCode
    perMinuteCharge triggerDatetime igrp dgrp ch segment segmentGroupId chName chType dgrpName dgrpRef callRatingId
    segmentName segmentRef orgId segmentGroupName
"""
CHARGE = tuple(_CHARGE.split())
"""The 24 columns of an itemised call, which has no `act`."""

TIMES = frozenset({"triggerDatetime", "visitorFirstDatetime"})
"""What `tz` shifts."""

PERSONAL = frozenset({"srcPhoneNumber", "customerPhoneNumber", "ip", "whois", "postcode", "lat", "long"})
"""What is redacted from a user without the right to personal data (hazard H23). Which columns really are: unknown."""

FILTERABLE = frozenset({*SHARED, *VISIT, *SALE, *NEWER, *CHARGE})
"""What `filter[]` and `sort[]` may name: every column but `pt_*` and `c_*` (hazard H32)."""
