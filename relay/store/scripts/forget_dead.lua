#!lua flags=allow-oom
-- Forget deliveries that were given up before a time. What can't be read goes with them.
-- KEYS: 1 dead, 2 references, 3 owed
-- ARGV: 1 the source's prefix, 2 time in ms, 3 how many at most, 4 events in a block
-- RETURNS: {how many were forgotten, how many of them could not be read}
-- ATOMIC BECAUSE the count of deliveries that keep an event alive must match what is there.
local dead, references, owed = unpack(KEYS)
local prefix, before, most, block_size = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
-- SHARED: books
local members = redis.call('ZRANGEBYSCORE', dead, '-inf', '(' .. before, 'LIMIT', 0, most)
local damaged = 0
for _, member in ipairs(members) do
  local endpoint, number = string.match(member, '^(%S+) %a(%d+)')
  if number then
    local bucket = string.format('%.0f', math.floor(tonumber(number) / block_size))
    redis.call('HINCRBY', references, bucket, -1)
    local size = redis.call('HSTRLEN', prefix .. 'events:' .. bucket, number)
    note(endpoint, tonumber(number), FORGOTTEN)
    if size > 0 and redis.call('HINCRBY', owed, endpoint, 0 - size) <= 0 then redis.call('HDEL', owed, endpoint) end
  else
    damaged = damaged + 1
  end
  redis.call('ZREM', dead, member)
end
write_books()
return {#members, damaged}
