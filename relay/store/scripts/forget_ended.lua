#!lua flags=allow-oom
-- Forget single events of a bucket: those that no delivery needs, as a look at all deliveries has found.
-- KEYS: 1 references, 2 count of deliveries that were sent again (revived)
-- ARGV: 1 the source's prefix, 2 bucket, 3 deliveries that needed it before the look, 4 what was sent again until then,
--   then {shard, field, number} of each event's message id
-- RETURNS: how many events were forgotten, or -1 without having changed anything: something happened meanwhile
-- ATOMIC BECAUSE what the look has found must still hold: since then no delivery of the bucket has ended or begun.
local references, revived = KEYS[1], KEYS[2]
local prefix, bucket = ARGV[1], ARGV[2]
if redis.call('HGET', references, bucket) ~= ARGV[3] then return -1 end
if (redis.call('GET', revived) or '0') ~= ARGV[4] then return -1 end
local forgotten = 0
for i = 5, #ARGV, 3 do
  local shard, field, number = prefix .. 'ids:' .. ARGV[i], ARGV[i + 1], ARGV[i + 2]
  forgotten = forgotten + redis.call('HDEL', prefix .. 'events:' .. bucket, number)
  if redis.call('HGET', shard, field) == number then redis.call('HDEL', shard, field) end
end
return forgotten
