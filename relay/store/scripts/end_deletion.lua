#!lua flags=allow-oom
-- Take a tombstone away: nothing is left of what was deleted.
-- KEYS: 1 deletions (hash), 2 polls (zset), 3 reconciled (zset)
-- ARGV: 1 `{kind}/{id}`, 2 version of the deletion, 3 the source's uid ('' it was none)
-- RETURNS: 1, or 0 when that deletion has ended before
-- ATOMIC BECAUSE a worker that slept must not end another deletion of that name, which has only begun.
local deletions, polls, reconciled = unpack(KEYS)
local name, version, uid = unpack(ARGV)
local standing = redis.call('HGET', deletions, name)
if not standing or (string.match(standing, '^(%d+) ') or string.match(standing, '^%d+$') or '0') ~= version then return 0 end
if uid ~= '' then
  redis.call('ZREM', polls, uid)
  redis.call('ZREM', reconciled, uid)
end
redis.call('HDEL', deletions, name)
return 1
