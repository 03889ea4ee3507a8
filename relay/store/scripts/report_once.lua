#!lua
-- Write down an operational event about one thing, unless it was written down before and the thing did not change since.
-- KEYS: 1 reported (hash), 2 operations (stream)
-- ARGV: 1 the thing, 2 kind of the event, 3 ms, 4 data, 5 events that are kept
-- RETURNS: 1, or 0 when it was written down before
-- ATOMIC BECAUSE many workers see the same thing at once, and one that dies in between must not swallow the event.
local reported, operations = KEYS[1], KEYS[2]
local thing, kind, at, data, kept = unpack(ARGV)
if redis.call('HGET', reported, thing) == kind then return 0 end
redis.call('HSET', reported, thing, kind)
redis.call('XADD', operations, 'MAXLEN', '~', kept, '*', 'kind', kind, 'at', at, 'data', data)
return 1
