"""Invented names that the made rows draw from: numbers, addresses and domains are of the ranges kept for fiction."""

CHANNELS = (
    # ch, chName, chType, src, how many in a hundred
    ("1", "Direct", "direct", "direct", 25),
    ("2", "Paid Search", "ppc", "google", 30),
    ("3", "Organic Search", "seo", "google", 25),
    ("4", "Referral", "ref", "partner.example", 15),
    ("9", "Unclassified", "", "newsletter", 5),
)
OFFLINE_CHANNEL = {"ch": "0", "chName": "Unknown", "chType": "offline"}

SEGMENTS = (
    # segment, segmentName, segmentRef, orgId
    ("4", "Harbour Windows", "harbour", "1"),
    ("5", "Harbour Windows North", "harbour-north", "2"),
    ("6", "Lakeside Kitchens", "lakeside", "3"),
)
ORGANISATIONS = {"1": frozenset({"1", "2", "3"}), "2": frozenset({"2"}), "3": frozenset({"3"})}
"""Each organisation with those beneath it, for `rootOrgId`."""

NUMBER_GROUPS = (
    # dgrp, dgrpName, dgrpRef
    ("10008", "Website pool", "web"),
    ("10009", "Showroom, Leeds", "leeds"),
    ("10010", "Brochure  ", ""),
)
CAMPAIGNS = (
    # campaign, adGroup, term
    ("Spring sale", "Sash windows", "sash windows near me"),
    ("Spring sale", "Bay windows", "bay window cost"),
    ("Brand", "Exact", "harbour windows"),
    ("", "", ""),
)
PAGES = ("/", "/windows", "/kitchens", "/prices", "/contact", "/brochure", "/about", "/reviews?page=2")
TOWNS = (
    # city, region, area, postcode, lat, long
    ("Leeds", "West Yorkshire", "Yorkshire", "LS1", "53.7996", "-1.5491"),
    ("Bristol", "Bristol", "South West", "BS1", "51.4545", "-2.5879"),
    ("Glasgow", "Glasgow City", "Scotland", "G1", "55.8609", "-4.2514"),
    ("Cardiff", "Caerdydd", "Wales", "CF10", "51.4816", "-3.1791"),
    ("Saint-Denis", "Île-de-France", "Paris", "93200", "48.9362", "2.3574"),
)
BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
)
OPERATORS = ("asha.patel", "tom.reid", "mei.lin", "sam.osei")
REALM = "pbx.harbour.example"

QUALIFIED = {"goal": "11", "goalTitle": "Call Qualified"}
CONNECTED = {"goal": "12", "goalTitle": "Call Connected"}
NOT_CONNECTED = {"goal": "13", "goalTitle": "Call not Connected"}
BROCHURE = {"goal": "21", "goalTitle": "Brochure request"}
BOUGHT = {"goal": "31", "goalTitle": "Sale"}
RATED_WELL = {"goal": "41", "goalTitle": "Rated as a lead"}

RATINGS = ("Sale", "Lead", "Follow up", "Wrong number", "Complaint")
NOTES = (
    "Wants a quote for three windows",
    'Asked for "the blue one" from the brochure',
    "Call back after 5pm [not Mondays]",
    "Spoke to Zoë, café on the corner\nsecond visit",
    "Price given: £1,250 {incl. fitting}",
    "C:\\quotes\\2026 was sent",
)
HANG_UPS = ("NO_ANSWER", "USER_BUSY", "ORIGINATOR_CANCEL", "NO_USER_RESPONSE", "CALL_REJECTED")
CUSTOM_ACTS = ("DOWNLOAD", "EXIT", "brochureRequest", "chat-started")
