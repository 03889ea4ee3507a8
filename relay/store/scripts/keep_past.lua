#!lua
-- Keep events of a bucket condensed, before they are forgotten.
-- KEYS: 1 events of the bucket, 2 past events of the bucket, 3 past_buckets
-- ARGV: 1 bucket, 2 its entry in past_buckets, 3 number of events, then {number, SHA-1 of the event (hex)} for each, then
--   {place, the piece that is there or '', the one to put there} for each piece
-- RETURNS: 1, or without having changed anything 0 (the bucket is gone) or -1 (an event or a piece is another one by now)
-- ATOMIC BECAUSE a source that was deleted has no events: none of its keys must come back. And the content of an event that
--   was removed since the caller read it must not come back.
local events, past, buckets = KEYS[1], KEYS[2], KEYS[3]
if redis.call('EXISTS', events) == 0 then return 0 end
local pieces = 4 + 2 * ARGV[3]
for i = 4, pieces - 1, 2 do
  local event = redis.call('HGET', events, ARGV[i])
  if not event or redis.sha1hex(event) ~= ARGV[i + 1] then return -1 end
end
for i = pieces, #ARGV, 3 do
  if (redis.call('HGET', past, ARGV[i]) or '') ~= ARGV[i + 1] then return -1 end
end
for i = pieces, #ARGV, 3 do redis.call('HSET', past, ARGV[i], ARGV[i + 2]) end
redis.call('HSET', buckets, ARGV[1], ARGV[2])
return 1
