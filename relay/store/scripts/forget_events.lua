#!lua flags=allow-oom
-- Forget a bucket of events, unless a delivery of one of them came to life meanwhile.
-- KEYS: 1 references, then the smallest rowIds of each route (lowest)
-- ARGV: 1 the source's prefix, 2 bucket, then {shard, field, number} of each event's message id
-- RETURNS: how many events were forgotten
-- ATOMIC BECAUSE an event that is sent again by hand must not vanish between the look and the deletion.
local references = KEYS[1]
local prefix, bucket = ARGV[1], ARGV[2]
if tonumber(redis.call('HGET', references, bucket) or '0') > 0 then return 0 end
for i = 1, #KEYS do redis.call('HDEL', KEYS[i], bucket) end
redis.call('UNLINK', prefix .. 'events:' .. bucket)
local forgotten = 0
for i = 3, #ARGV, 3 do
  local shard, field, number = prefix .. 'ids:' .. ARGV[i], ARGV[i + 1], ARGV[i + 2]
  -- The same event may have been stored again since, under a number of its own.
  if redis.call('HGET', shard, field) == number then redis.call('HDEL', shard, field) end
  forgotten = forgotten + 1
end
return forgotten
