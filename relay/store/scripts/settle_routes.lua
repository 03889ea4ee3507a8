#!lua flags=allow-oom
-- Note since when routes belong to a source, and forget the state of those that belong to it no more.
-- KEYS: 1 fence, 2 sequence, 3 readings
-- ARGV: 1 the source's prefix, 2 fencing token, 3 the sequence that the poller knows, 4 the source's startRowId or 'none',
--   5 how many routes it has, {route, since when} of each of them, then the names of those that left
-- RETURNS: 'ok', or without having changed anything 'fenced' (another poller took over) or 'astray' (the store is not
--   where the poller left it)
-- ATOMIC BECAUSE a route that is noted without the others makes them look as if they had been added later.
local fence, sequence, readings = unpack(KEYS)
local prefix, token, known, start, joined = unpack(ARGV, 1, 5)
if redis.call('GET', fence) ~= token then return 'fenced' end
if (redis.call('GET', sequence) or '0') ~= known then return 'astray' end
local left = 6 + 2 * tonumber(joined)
for at = 6, left - 1, 2 do
  redis.call('HSET', prefix .. 'route:' .. ARGV[at], 'joined', ARGV[at + 1], 'start', start)
end
for at = left, #ARGV do
  redis.call('UNLINK', prefix .. 'route:' .. ARGV[at], prefix .. 'trail:' .. ARGV[at])
  local of = ARGV[at] .. '/'
  for _, reading in ipairs(redis.call('HKEYS', readings)) do
    if string.sub(reading, 1, #of) == of then redis.call('HDEL', readings, reading) end
  end
end
return 'ok'
