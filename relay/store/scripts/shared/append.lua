-- Appending events: their lanes, and what is owed in the books. Uses `prefix`, `lanes`, `ready`, `owed`,
-- `book_blocks`, `book_sizes` and `now`.
local UNPACK = 4000 -- Lua's stack holds 8,000.
local KEPT = 2 ^ 40 -- Events whose deliveries nobody can count are kept.
-- HINCRBY would stop at a count that is none: `damaged` is what that begins with.
local function add(key, fields, amounts, damaged)
  for first = 1, #fields, UNPACK / 2 do
    local last = math.min(first + UNPACK / 2 - 1, #fields)
    local before, sums = redis.call('HMGET', key, unpack(fields, first, last)), {}
    for i = first, last do
      sums[#sums + 1] = fields[i]
      sums[#sums + 1] = string.format('%.0f', (string.match(before[i - first + 1] or '0', '^%-?%d+$') or damaged) + amounts[i])
    end
    redis.call('HSET', key, unpack(sums))
  end
end
-- Count what endpoints are owed, in bytes, and make those of their lanes ready that were idle.
local function wake(endpoints, sizes)
  local woken = {}
  for i = 1, #endpoints do
    if redis.call('HSETNX', lanes, endpoints[i], 'r') == 1 then woken[#woken + 1] = endpoints[i] end
  end
  add(owed, endpoints, sizes, 0)
  for first = 1, #woken, UNPACK do
    redis.call('RPUSH', ready, unpack(woken, first, math.min(first + UNPACK, #woken + 1) - 1))
  end
end
local FIELD_BYTES = 90 -- What a field takes in addition to its value, about.
local grown = {total = 0}
local function grows(block, before, after)
  local bytes = #after - #before + (before == '' and FIELD_BYTES or 0)
  grown[block], grown.total = (grown[block] or 0) + bytes, grown.total + bytes
end
-- Numbers ascend, so that mostly the new half bytes are appended, but for the one that shares a byte.
local function joined(before, first, halves)
  local common = #before - first
  if common <= 0 then return before .. string.rep('\0', first - #before) .. halves end
  local bytes = {string.byte(halves, 1, -1)}
  for i = 1, math.min(common, #bytes) do
    local old, new = string.byte(before, first + i), bytes[i]
    local low = new % 16 > 0 and new % 16 or old % 16
    bytes[i] = (new > 15 and new - new % 16 or old - old % 16) + low
  end
  return string.sub(before, 1, first) .. string.char(unpack(bytes)) .. string.sub(before, first + #bytes + 1)
end
-- Have a block in the books, whether or not anybody is owed anything of it.
local function open_block(block)
  grown[block] = grown[block] or 0
  redis.call('ZADD', book_blocks, now, block)
end
-- Note half bytes of a block of the books for the endpoints from `from` to `to` in a list.
local function owe(block, first_byte, halves, list, from, to)
  local key, became = prefix .. 'books:' .. block, {}
  for first = from, to, UNPACK / 2 do
    local last = math.min(first + UNPACK / 2, to + 1) - 1
    local before, after = redis.call('HMGET', key, unpack(list, first, last)), {}
    for i = first, last do
      local found = before[i - first + 1] or ''
      local now_there = became[found] or joined(found, first_byte, halves)
      became[found] = now_there
      after[#after + 1], after[#after + 2] = list[i], now_there
      grows(block, found, now_there)
    end
    redis.call('HSET', key, unpack(after))
  end
end
-- Add what the books have grown by to their sizes.
local function count_books()
  local blocks, amounts = {}, {}
  for block, bytes in pairs(grown) do
    blocks[#blocks + 1], amounts[#amounts + 1] = block, bytes
  end
  if #blocks > 1 then add(book_sizes, blocks, amounts, 0) end
end
