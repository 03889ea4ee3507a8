-- The books: what became of each delivery, as relay.domain.books.State has it, in half a byte. Each block of events has a
-- hash: endpoint -> half bytes in the order of the events. Uses `prefix` and `block_size` (events in a block, even).
-- Notes are gathered, so that `write_books` writes what concerns a block and an endpoint once.
-- Only deliveries that are in the books get another state: a block that was shed does not come back.
local WAITING, CONFIRMED, UNWANTED, DEAD, FULL, OLD, FORGOTTEN = 1, 2, 3, 4, 5, 6, 7
local noted, MOST_NOTED = {}, 4000 -- Lua's stack holds 8,000.
local function note(endpoint, number, state)
  local block = math.floor(number / block_size)
  local of = noted[block]
  if not of then
    of = {}
    noted[block] = of
  end
  local notes = of[endpoint]
  if not notes then
    notes = {}
    of[endpoint] = notes
  end
  notes[#notes + 1] = (number - block * block_size) * 16 + state
end
local function with_notes(halves, notes)
  local bytes = {string.byte(halves, 1, -1)}
  for i = 1, #notes do
    local state = notes[i] % 16
    local offset = (notes[i] - state) / 16
    local at = math.floor(offset / 2) + 1
    local byte = bytes[at] or 0
    local low = byte % 16
    if offset % 2 == 1 then
      if low > 0 then bytes[at] = byte - low + state end
    elseif byte > low then
      bytes[at] = state * 16 + low
    end
  end
  return string.char(unpack(bytes))
end
local function write_books()
  for block, of in pairs(noted) do
    local key, endpoints = prefix .. 'books:' .. string.format('%.0f', block), {}
    for endpoint in pairs(of) do endpoints[#endpoints + 1] = endpoint end
    for first = 1, #endpoints, MOST_NOTED do
      local last = math.min(first + MOST_NOTED - 1, #endpoints)
      local known, changed = redis.call('HMGET', key, unpack(endpoints, first, last)), {}
      for i = first, last do
        local halves = known[i - first + 1]
        if halves then
          changed[#changed + 1] = endpoints[i]
          changed[#changed + 1] = with_notes(halves, of[endpoints[i]])
        end
      end
      if #changed > 0 then redis.call('HSET', key, unpack(changed)) end
    end
  end
end
