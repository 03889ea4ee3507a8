#!lua flags=allow-oom
-- Write down an operational event, or the change of a condition once for all that see it.
-- KEYS: 1 operations, 2 standing
-- ARGV: 1 kind, 2 ms when, 3 data as JSON, 4 how many events to keep, 5 condition ('' none), 6 what holds of it now
-- RETURNS: 1, or 0 when that held before
-- ATOMIC BECAUSE every worker sees the same change, and one of them must note it.
local operations, standing = KEYS[1], KEYS[2]
local kind, at, data, kept, condition, now = unpack(ARGV)
if condition ~= '' then
  if redis.call('HGET', standing, condition) == now then return 0 end
  redis.call('HSET', standing, condition, now)
end
redis.call('XADD', operations, 'MAXLEN', '~', kept, '*', 'kind', kind, 'at', at, 'data', data)
return 1
