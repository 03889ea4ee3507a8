#!lua flags=allow-oom
-- Give the lease of a source's poller back.
-- KEYS: 1 lease, 2 sequence
-- ARGV: 1 the poller's token, 2 the sequence that the poller knows
-- RETURNS: 1, or 0 when the lease was not the poller's any more, or the store is not where the poller left it
-- ATOMIC BECAUSE another poller may take the lease between the look and the write.
local lease, sequence = KEYS[1], KEYS[2]
local token, known = ARGV[1], ARGV[2]
if redis.call('GET', lease) ~= token then return 0 end
redis.call('DEL', lease)
return (redis.call('GET', sequence) or '0') == known and 1 or 0
