#!lua flags=allow-oom
-- Announce that rows of an id space are going to be forgotten although readings need them.
-- KEYS: 1 known_from, then the routes of the space
-- ARGV: 1 the rowId up to which nothing will be known
-- RETURNS: 1, or 0 when no route has begun
-- ATOMIC BECAUSE a source that is being deleted must not get this key again: it has no route any more.
for i = 2, #KEYS do
  if redis.call('HEXISTS', KEYS[i], 'cursor') == 1 then
    redis.call('SET', KEYS[1], ARGV[1])
    return 1
  end
end
return 0
