-- One event of a random customer in each request, for wrk.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "figures.lua")

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

function request()
  return wrk.format(nil, nil, nil, string.format(
    '{"order_id": %d, "customer_id": %d, "amount": %d.25, "status": "paid", "ordered_at": "2026-11-01T00:00:00Z"}',
    math.random(0, 1e9), math.random(0, 999), math.random(1, 500)))
end
