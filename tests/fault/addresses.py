"""Addresses, and spellings of them, that a callback must not reach, and some that it must: one table for all tests.

Sources: the special-purpose registries of IANA, and what clouds, parsers and DNS add to them.
"""

_FORBIDDEN = """
0.0.0.0 unspecified
0.1.2.3 unspecified
10.0.0.1 private
10.255.255.255 private
100.64.0.1 shared
100.127.255.255 shared
100.100.100.200 metadata
127.0.0.1 loopback
127.254.254.254 loopback
169.254.169.254 metadata
169.254.170.2 metadata
169.254.0.1 link_local
168.63.129.16 metadata
172.16.0.1 private
172.31.255.255 private
192.0.0.1 protocol_assignment
192.0.0.8 protocol_assignment
192.0.0.170 protocol_assignment
192.0.0.192 metadata
192.0.2.1 documentation
192.31.196.1 anycast_service
192.52.193.1 anycast_service
192.88.99.1 transition
192.168.0.1 private
192.175.48.1 anycast_service
198.18.0.1 benchmarking
198.19.255.255 benchmarking
198.51.100.1 documentation
203.0.113.1 documentation
224.0.0.1 multicast
239.255.255.250 multicast
240.0.0.1 reserved
255.255.255.255 reserved
:: unspecified
::1 loopback
::2 unspecified
::127.0.0.1 loopback
::169.254.169.254 metadata
::8.8.8.8 transition
::ffff:127.0.0.1 loopback
::ffff:7f00:1 loopback
::ffff:169.254.169.254 metadata
::ffff:100.100.100.200 metadata
::ffff:168.63.129.16 metadata
::ffff:10.0.0.1 private
::ffff:0:127.0.0.1 loopback
::ffff:0:8.8.8.8 transition
64:ff9b::7f00:1 loopback
64:ff9b::a9fe:a9fe metadata
64:ff9b::a00:1 private
64:ff9b:1::a9fe:a9fe transition
64:ff9b:1::808:808 transition
100::1 discard
100:0:0:1::1 discard
2001::1 unspecified
2001:0:7f00:1::1 loopback
2001:0:808:808:0:0:f7f7:f7f7 transition
2001:0:808:808:0:0:80ff:fffe loopback
2001:1::1 protocol_assignment
2001:2::1 benchmarking
2001:3::1 protocol_assignment
2001:4:112::1 protocol_assignment
2001:10::1 protocol_assignment
2001:20::1 protocol_assignment
2001:30::1 protocol_assignment
2001:db8::1 documentation
2002:7f00:1::1 loopback
2002:a9fe:a9fe::1 metadata
2002:c0a8:1::1 private
2002:808:808::1 transition
2620:4f:8000::1 anycast_service
3fff::1 documentation
4000::1 reserved
5f00::1 reserved
8000::1 reserved
fc00::1 private
fd00:ec2::254 metadata
fd00:ec2::23 metadata
fd20:ce::254 metadata
fd7a:115c:a1e0::1 private
fe80::1 link_local
fe80::1%eth0 link_local
2606:4700:4700::1111%eth0 link_local
febf:ffff::1 link_local
fec0::1 private
ff02::1 multicast
ff0e::1 multicast
"""

_PUBLIC = """
1.0.0.1 1.1.1.1 8.8.8.8 8.8.4.4 9.9.9.9 11.0.0.1 52.95.110.1 93.184.216.34 99.255.255.255 100.63.255.255 100.128.0.1
104.16.0.1 126.255.255.255 128.0.0.1 140.82.112.3 168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.1
172.15.255.255 172.32.0.1 191.255.255.255 192.0.1.1 192.0.3.1 192.167.255.255 192.169.0.1 198.17.255.255 198.20.0.1
203.0.112.1 203.0.114.1 223.255.255.255 ::ffff:8.8.8.8 64:ff9b::808:808 2001:200::1 2001:4860:4860::8888
2606:4700:4700::1111 2620:fe::fe 2a00:1450:4001:81b::200e 2003::1 3ffe::1
"""

_HOSTS = """
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.254.254.254 169.254.169.254 169.254.170.2
168.63.129.16 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.170 192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1
198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255
127.1 127.0.1 0 0x7f000001 0x7f.1 0X7F.0.0.1 2130706433 017700000001 0177.0.0.1 127.0.0.1. 0xa9fea9fe 2852039166
①②⑦.⓪.⓪.① １２７.０.０.１ 127。0。0。1
[::] [::1] [::127.0.0.1] [::169.254.169.254] [::ffff:127.0.0.1] [::ffff:7f00:1] [::FFFF:169.254.169.254]
[::ffff:100.100.100.200] [::ffff:0:127.0.0.1] [64:ff9b::7f00:1] [64:ff9b::a9fe:a9fe] [64:ff9b:1::a9fe:a9fe] [100::1]
[2001::1] [2001:0:7f00:1::1] [2001:2::1] [2001:db8::1] [2002:7f00:1::1] [2002:a9fe:a9fe::1] [3fff::1] [5f00::1]
[fc00::1] [fd00:ec2::254] [FD00:EC2::23] [fd20:ce::254] [fe80::1] [fe80::1%eth0] [fe80::1%25eth0] [febf:ffff::1]
[fec0::1] [ff02::1] [ff0e::1]
"""

_NAMES = """
localhost LOCALHOST LocalHost. foo.localhost localhost.localdomain.local metadata metadata.google.internal
METADATA.google.INTERNAL metadata.goog instance-data instance-data.ec2.internal foo.internal printer.local api.svc
kubernetes kubernetes.default.svc kubernetes.default.svc.cluster.local relay router.lan
router.home.arpa wiki.intranet example.com. example..com .example.com -example.com example-.com example.com:0
a.1 1.2.3 256.1.1.1 1.2.3.4.5 example.0x1 user@example.com user:secret@example.com :@example.com example.com%00.evil.com
exam%70le.com ex\x00ample.com 127.0.0.1\x00.example.com ex\tample.com ex\u200bample..com example.com\\@10.0.0.1
"""

FORBIDDEN = tuple((address, reason) for address, reason in map(str.split, _FORBIDDEN.strip().splitlines()))
"""Addresses, each with the reason why it is refused."""

PUBLIC = tuple(_PUBLIC.split())
"""Addresses of the internet, many of them right beside a special range."""

HOSTS = tuple(_HOSTS.split())
"""Forbidden addresses as hosts of a URL, in spellings that some parser takes for one."""

NAMES = tuple(name for name in _NAMES.replace("\n", " ").split(" ") if name)
"""Hosts of a URL that are names which only exist inside, or that no two parsers agree on."""
