-- A thousand events as JSON lines in each request, the same ones each time, for wrk.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "figures.lua")

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/x-ndjson"

local lines = {}
for order = 1, 1000 do
  lines[order] = string.format(
    '{"order_id": %d, "customer_id": %d, "amount": %d.25, "status": "paid", "ordered_at": "2026-11-01T00:00:00Z"}\n',
    order, order % 100, order % 500)
end
wrk.body = table.concat(lines)
