#!lua flags=allow-oom
-- Write how far readings are.
-- KEYS: 1 fence, 2 sequence, 3 readings
-- ARGV: 1 fencing token, 2 the sequence that the poller knows, then fields and values ('': remove the field)
-- RETURNS: 'ok', or without having changed anything 'fenced' (another poller took over) or 'astray' (the store is not
--   where the poller left it)
-- ATOMIC BECAUSE another poller may take over between the look and the write.
local fence, sequence, readings = unpack(KEYS)
local token, known = unpack(ARGV, 1, 2)
if redis.call('GET', fence) ~= token then return 'fenced' end
if (redis.call('GET', sequence) or '0') ~= known then return 'astray' end
for at = 3, #ARGV, 2 do
  if ARGV[at + 1] == '' then
    redis.call('HDEL', readings, ARGV[at])
  else
    redis.call('HSET', readings, ARGV[at], ARGV[at + 1])
  end
end
return 'ok'
