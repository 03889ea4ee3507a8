#!lua
-- Take the lease of a source's poller, if nobody has it, with a new fencing token.
-- KEYS: 1 lease, 2 fence, 3 handover, 4 sequence
-- ARGV: 1 ms that the lease lives, 2 version of the configuration that the poller knows
-- RETURNS: {the token, the source's sequence}; the token is 0 when another poller works, or the source was deleted since
--   that version. If the other poller offers the source, it is told that the source is wanted.
-- ATOMIC BECAUSE the token in the lease must be the newest one.
-- A token is the server's time in µs, and greater than the one before: a server that lost its last second never gives a
-- token twice. The fence of a source that was deleted is `-{version of its deletion}`; who knows a newer configuration,
-- and the source in it, knows another source of that name.
local lease, fence, handover, sequence = unpack(KEYS)
local lives_ms, version = ARGV[1], tonumber(ARGV[2])
if redis.call('EXISTS', lease) == 1 then
  redis.call('SET', handover, 'wanted', 'XX', 'KEEPTTL')
  return {0, 0}
end
local newest = tonumber(redis.call('GET', fence) or '0')
if newest < 0 and -newest >= version then return {0, 0} end
local time = redis.call('TIME')
local token = math.max(time[1] * 1000000 + time[2], math.abs(newest) + 1)
local text = string.format('%.0f', token)
redis.call('SET', fence, text)
redis.call('SET', lease, text, 'PX', lives_ms)
redis.call('DEL', handover)
return {token, redis.call('GET', sequence) or '0'}
