#!lua flags=allow-oom
-- Write or delete one object of the configuration, with all that leads to it, as the next version.
-- KEYS: 1 objects (hash), 2 uids (hash), 3 index (zset), 4 history (zset), 5 objects that it may belong to (hash),
--   6 matched (hash), 7 reported (hash), 8 deletions (hash), 9 operations (stream), 10 outbox (stream),
--   11 changes of expressions (hash)
-- ARGV: 1 id, 2 kind, 3 folder in the index, 4 what must be there now ('' nothing), 5 the new object ('' delete it),
--   6 its uid's entry until now ('' none), 7 its uid's entry from now on ('' none),
--   8 the id of what it belongs to ('' nothing), 9 '1': who gets which events may be another from now on,
--   10 what the deletion has to know ('' nothing: it leaves nothing to delete), 11 versions that the history keeps,
--   12 the folder of operational endpoints in the index,
--   then operational events: {'log', or 'out' for the outbox, kind, ms (0 now), data, …}. The outbox gets one only if
--   there are operational endpoints. And {'correct', the reason of dead deliveries, 0, ''} for those that the change may cure
-- RETURNS: {the new version, the version that last changed who gets which events by this object}, or without having
--   changed anything {-1} something else is there, {-2} the uid is taken, {-3} what it belongs to is gone,
--   {-4} another one of this name is still being deleted
-- ATOMIC BECAUSE a reader of the history must see an object, its uid and its version together, two writers must not take
--   one uid, nor overwrite what they have not seen, and what is deleted must leave a tombstone.
-- A version is the server's time in µs, and greater than the one before: a server that lost its last second never gives
-- a version that it gave before to another change.
local objects, uids, index, history, owners, matched, reported, deletions, operations, outbox, corrections = unpack(KEYS)
local id, kind, folder, before, after, old_uid, new_uid, owner, matching, deletion, kept, listeners = unpack(ARGV, 1, 12)
local name, entry = kind .. '/' .. id, folder .. '/' .. id

if (redis.call('HGET', objects, id) or '') ~= before then return {-1} end
local holder = new_uid ~= '' and redis.call('HGET', uids, new_uid)
if holder and holder ~= id and redis.call('HEXISTS', objects, holder) == 1 then return {-2} end
if after ~= '' and owner ~= '' and redis.call('HEXISTS', owners, owner) == 0 then return {-3} end
if after ~= '' and redis.call('HEXISTS', deletions, name) == 1 then return {-4} end

local last = redis.call('ZRANGE', history, -1, -1, 'WITHSCORES')[2]
local time = redis.call('TIME')
local version = time[1] * 1000000 + time[2]
if last then version = math.max(version, tonumber(last) + 1) end
local text = string.format('%.0f', version)
redis.call('ZADD', history, text, text .. ' ' .. entry)
redis.call('ZREMRANGEBYRANK', history, 0, -1 - kept)

if old_uid ~= '' and old_uid ~= new_uid and redis.call('HGET', uids, old_uid) == id then
  redis.call('HDEL', uids, old_uid)
end
redis.call('HDEL', reported, name)
if after == '' then
  redis.call('HDEL', objects, id)
  redis.call('ZREM', index, entry)
  redis.call('HDEL', matched, name)
  if deletion ~= '' then redis.call('HSET', deletions, name, text .. ' ' .. deletion) end
else
  redis.call('HSET', objects, id, after)
  redis.call('ZADD', index, 0, entry)
  if new_uid ~= '' then redis.call('HSET', uids, new_uid, id) end
  if matching == '1' then redis.call('HSET', matched, name, text) end
end
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
for i = 13, #ARGV, 4 do
  local at = ARGV[i + 2] == '0' and now or ARGV[i + 2]
  local place = ARGV[i] == 'log' and operations or outbox
  if ARGV[i] == 'correct' then
    redis.call('HSET', corrections, id .. ' ' .. ARGV[i + 1], now)
  elseif place == operations or redis.call('ZLEXCOUNT', index, '[' .. listeners .. '/', '(' .. listeners .. '0') > 0 then
    -- Above, '0' follows '/' in ASCII.
    redis.call('XADD', place, 'MAXLEN', '~', 10000, '*', 'kind', ARGV[i + 1], 'at', at, 'data', ARGV[i + 3])
  end
end
return {version, matching == '1' and version or tonumber(redis.call('HGET', matched, name) or '0')}
