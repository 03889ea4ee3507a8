#!lua flags=allow-oom
-- Write or delete one object of the configuration, with all that leads to it, as the next version.
-- KEYS: 1 objects (hash), 2 uids (hash), 3 index (zset), 4 version, 5 changes (zset), 6 objects that it may belong to
-- ARGV: 1 id, 2 kind, 3 folder in the index, 4 what must be there now ('' nothing), 5 the new object ('' delete it),
--   6 its uid's entry until now ('' none), 7 its uid's entry from now on ('' none),
--   8 the id of what it belongs to ('' nothing), 9 the folder that must be empty before it is deleted ('' none)
-- RETURNS: the new version, or without having changed anything: 0 something else is there, -1 the uid is taken,
--   -2 what it belongs to is gone, -3 the folder is not empty
-- ATOMIC BECAUSE a reader of changes must see an object, its uid and its version together, and two writers must not
--   take one uid, nor overwrite what they have not seen.
local objects, uids, index, version, changes, owners = unpack(KEYS)
local id, kind, folder, before, after, old_uid, new_uid, owner, contents = unpack(ARGV)

if (redis.call('HGET', objects, id) or '') ~= before then return 0 end
if new_uid ~= '' and new_uid ~= old_uid and redis.call('HEXISTS', uids, new_uid) == 1 then return -1 end
if after ~= '' and owner ~= '' and redis.call('HEXISTS', owners, owner) == 0 then return -2 end
-- '0' follows '/' in ASCII: the range holds whatever begins with the folder and a slash.
if contents ~= '' and #redis.call('ZRANGEBYLEX', index, '[' .. contents .. '/', '(' .. contents .. '0', 'LIMIT', 0, 1) > 0 then
  return -3
end

if old_uid ~= '' and old_uid ~= new_uid then redis.call('HDEL', uids, old_uid) end
if after == '' then
  redis.call('HDEL', objects, id)
  redis.call('ZREM', index, folder .. '/' .. id)
else
  redis.call('HSET', objects, id, after)
  redis.call('ZADD', index, 0, folder .. '/' .. id)
  if new_uid ~= '' then redis.call('HSET', uids, new_uid, id) end
end
local now = redis.call('INCR', version)
redis.call('ZADD', changes, now, kind .. '/' .. id)
return now
