#!lua flags=allow-oom
-- Renew the lease of a source's poller.
-- KEYS: 1 lease, 2 handover
-- ARGV: 1 the poller's token, 2 ms that the lease lives on
-- RETURNS: 1, or 2 when another one wants the source, or 0 when the lease is not the poller's any more
-- ATOMIC BECAUSE another poller may take the lease between the look and the write.
local lease, handover = KEYS[1], KEYS[2]
local token, lives_ms = ARGV[1], ARGV[2]
if redis.call('GET', lease) ~= token then return 0 end
redis.call('PEXPIRE', lease, lives_ms)
return redis.call('GET', handover) == 'wanted' and 2 or 1
