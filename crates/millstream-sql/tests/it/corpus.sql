--- distinct_beside_sum key=k
SELECT o_custkey AS k, count(DISTINCT o_orderstatus) AS n, sum(o_totalprice) AS s FROM bronze.orders GROUP BY o_custkey
--- distinct_beside_sum_of_all
SELECT count(DISTINCT o_orderstatus) AS n, sum(o_totalprice) AS s, min(o_totalprice) AS low FROM bronze.orders
--- distinct_beside_sum_in_union
SELECT sum(o_totalprice) AS s FROM bronze.orders UNION ALL SELECT s FROM (SELECT count(DISTINCT o_orderkey) AS n, sum(o_totalprice) AS s FROM bronze.orders)
--- distinct_beside_sum_joined key=k
WITH a AS (SELECT o_custkey AS k, count(DISTINCT o_orderkey) AS n, sum(o_totalprice) AS s FROM bronze.orders GROUP BY o_custkey),
     b AS (SELECT o_custkey AS k, sum(o_totalprice) AS s FROM bronze.orders GROUP BY o_custkey)
SELECT a.k, a.n, a.s FROM a JOIN b ON a.k = b.k AND a.s = b.s
--- distinct_beside_sum_having key=k
SELECT o_custkey AS k, count(DISTINCT o_orderkey) AS n, sum(o_totalprice) AS s FROM bronze.orders GROUP BY o_custkey HAVING sum(o_totalprice) > 100
--- sum_distinct_beside_sum
SELECT sum(DISTINCT o_totalprice) AS d, sum(o_totalprice) AS s, max(o_totalprice) AS m FROM bronze.orders
--- customers_of_jaffle_shop key=customer_id
WITH customers AS (SELECT * FROM bronze.customer), orders AS (SELECT * FROM bronze.orders),
customer_orders_summary AS (
    SELECT orders.o_custkey, count(DISTINCT orders.o_orderkey) AS count_lifetime_orders,
        count(DISTINCT orders.o_orderkey) > 1 AS is_repeat_buyer, min(orders.o_orderdate) AS first_ordered_at,
        max(orders.o_orderdate) AS last_ordered_at, sum(orders.o_totalprice / 2) AS lifetime_spend_pretax,
        sum(orders.o_totalprice) AS lifetime_spend
    FROM orders GROUP BY 1
)
SELECT customers.c_custkey AS customer_id, customers.c_name, s.count_lifetime_orders, s.first_ordered_at, s.last_ordered_at,
    s.lifetime_spend_pretax, s.lifetime_spend,
    CASE WHEN s.is_repeat_buyer THEN 'returning' ELSE 'new' END AS customer_type
FROM customers LEFT JOIN customer_orders_summary s ON customers.c_custkey = s.o_custkey
--- types_of_all_kinds
SELECT CAST(l_linenumber AS smallint) AS a, l_linenumber + 1 AS b, l_linenumber * l_quantity AS c, l_quantity / 3 AS d,
    -l_linenumber AS e, l_shipdate + INTERVAL '1 day' AS f, upper(l_shipmode) AS g, [l_linenumber, 1] AS h,
    coalesce(l_quantity, 0) AS i, nullif(l_linenumber, 1) AS j, l_linenumber % 2 AS k, 1.5 * l_linenumber AS l,
    l_linenumber - l_quantity AS m, round(l_quantity, 1) AS n, l_shipdate - l_commitdate AS o FROM bronze.lineitem
--- sums_of_all_kinds key=k
SELECT l_orderkey AS k, sum(l_linenumber) AS i, sum(l_quantity) AS d, sum(CAST(l_tax AS double)) AS f,
    sum(l_quantity * l_extendedprice) AS p, sum(DISTINCT l_linenumber) AS u, avg(l_quantity) AS a,
    sum(l_linenumber) FILTER (WHERE l_linenumber > 1) AS w FROM bronze.lineitem GROUP BY l_orderkey
--- running_sums key=k,n
SELECT l_orderkey AS k, l_linenumber AS n, sum(l_quantity) OVER (PARTITION BY l_orderkey ORDER BY l_linenumber) AS d,
    sum(l_linenumber) OVER (PARTITION BY l_orderkey ORDER BY l_linenumber ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS i,
    row_number() OVER (PARTITION BY l_orderkey ORDER BY l_linenumber) AS r FROM bronze.lineitem
--- rolled_up_expressions
SELECT l_linenumber + 1 AS n, l_shipmode AS m, sum(l_quantity) AS q, count(*) AS c FROM bronze.lineitem
GROUP BY ROLLUP (l_linenumber + 1, l_shipmode)
--- grouped_by_expression key=g
SELECT l_orderkey % 3 * 2 AS g, max(l_quantity * 2) AS q FROM bronze.lineitem GROUP BY l_orderkey % 3 * 2 HAVING max(l_quantity * 2) > 1 ORDER BY l_orderkey % 3 * 2
--- correlated_arithmetic key=k
SELECT o_orderkey AS k, (SELECT sum(l_quantity) FROM bronze.lineitem WHERE l_orderkey = o_orderkey + 0) AS q FROM bronze.orders
--- recursive
WITH RECURSIVE n AS (SELECT CAST(1 AS bigint) AS v UNION ALL SELECT v + 1 FROM n WHERE v < 5) SELECT v, v * 2 AS w FROM n
--- tpch_01
SELECT l_returnflag, l_linestatus, sum(l_quantity) AS sum_qty, sum(l_extendedprice) AS sum_base_price,
    sum(l_extendedprice * (1 - l_discount)) AS sum_disc_price, sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) AS sum_charge,
    avg(l_quantity) AS avg_qty, avg(l_extendedprice) AS avg_price, avg(l_discount) AS avg_disc, count(*) AS count_order
FROM bronze.lineitem WHERE l_shipdate <= date '1998-12-01' - interval '90' day
GROUP BY l_returnflag, l_linestatus ORDER BY l_returnflag, l_linestatus
--- tpch_02
SELECT s_acctbal, s_name, n_name, p_partkey, p_mfgr FROM bronze.part, bronze.supplier, bronze.partsupp, bronze.nation, bronze.region
WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey AND s_nationkey = n_nationkey AND n_regionkey = r_regionkey
    AND ps_supplycost = (SELECT min(ps_supplycost) FROM bronze.partsupp, bronze.supplier, bronze.nation, bronze.region
        WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey AND s_nationkey = n_nationkey AND n_regionkey = r_regionkey)
--- tpch_03 key=l_orderkey
SELECT l_orderkey, sum(l_extendedprice * (1 - l_discount)) AS revenue, o_orderdate, o_shippriority
FROM bronze.customer, bronze.orders, bronze.lineitem
WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND o_orderdate < date '1999-03-15'
GROUP BY l_orderkey, o_orderdate, o_shippriority
--- tpch_04 key=o_orderpriority
SELECT o_orderpriority, count(*) AS order_count FROM bronze.orders
WHERE EXISTS (SELECT * FROM bronze.lineitem WHERE l_orderkey = o_orderkey AND l_commitdate < l_receiptdate) GROUP BY o_orderpriority
--- tpch_05 key=n_name
SELECT n_name, sum(l_extendedprice * (1 - l_discount)) AS revenue
FROM bronze.customer, bronze.orders, bronze.lineitem, bronze.supplier, bronze.nation
WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND l_suppkey = s_suppkey AND s_nationkey = n_nationkey GROUP BY n_name
--- tpch_06
SELECT sum(l_extendedprice * l_discount) AS revenue FROM bronze.lineitem WHERE l_discount BETWEEN 0.02 AND 0.07 AND l_quantity < 24
--- tpch_07
SELECT n1.n_name AS supp_nation, n2.n_name AS cust_nation, extract(year FROM l_shipdate) AS l_year, sum(l_extendedprice * (1 - l_discount)) AS revenue
FROM bronze.supplier, bronze.lineitem, bronze.orders, bronze.customer, bronze.nation n1, bronze.nation n2
WHERE s_suppkey = l_suppkey AND o_orderkey = l_orderkey AND c_custkey = o_custkey AND s_nationkey = n1.n_nationkey AND c_nationkey = n2.n_nationkey
GROUP BY n1.n_name, n2.n_name, extract(year FROM l_shipdate)
--- tpch_08 key=o_year
SELECT o_year, sum(CASE WHEN nation = 'NATION 1' THEN volume ELSE 0 END) / sum(volume) AS mkt_share
FROM (SELECT extract(year FROM o_orderdate) AS o_year, l_extendedprice * (1 - l_discount) AS volume, n_name AS nation
    FROM bronze.lineitem, bronze.orders, bronze.supplier, bronze.nation
    WHERE l_orderkey = o_orderkey AND s_suppkey = l_suppkey AND s_nationkey = n_nationkey) AS all_nations GROUP BY o_year
--- tpch_09
SELECT nation, o_year, sum(amount) AS sum_profit
FROM (SELECT n_name AS nation, extract(year FROM o_orderdate) AS o_year, l_extendedprice * (1 - l_discount) - ps_supplycost * l_quantity AS amount
    FROM bronze.part, bronze.supplier, bronze.lineitem, bronze.partsupp, bronze.orders, bronze.nation
    WHERE s_suppkey = l_suppkey AND ps_suppkey = l_suppkey AND ps_partkey = l_partkey AND p_partkey = l_partkey
        AND o_orderkey = l_orderkey AND s_nationkey = n_nationkey AND p_name LIKE '%1%') AS profit GROUP BY nation, o_year
--- tpch_10 key=c_custkey
SELECT c_custkey, c_name, sum(l_extendedprice * (1 - l_discount)) AS revenue, c_acctbal
FROM bronze.customer, bronze.orders, bronze.lineitem WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND l_returnflag = 'R'
GROUP BY c_custkey, c_name, c_acctbal
--- tpch_11 key=ps_partkey
SELECT ps_partkey, sum(ps_supplycost * ps_availqty) AS value FROM bronze.partsupp GROUP BY ps_partkey
HAVING sum(ps_supplycost * ps_availqty) > (SELECT sum(ps_supplycost * ps_availqty) * 0.0001 FROM bronze.partsupp)
--- tpch_12 key=l_shipmode
SELECT l_shipmode, sum(CASE WHEN o_orderpriority = '1-URGENT' THEN 1 ELSE 0 END) AS high_line_count, sum(CASE WHEN o_orderpriority <> '1-URGENT' THEN 1 ELSE 0 END) AS low_line_count
FROM bronze.orders, bronze.lineitem WHERE o_orderkey = l_orderkey AND l_shipmode IN ('AIR', 'MAIL') GROUP BY l_shipmode
--- tpch_13 key=c_count
SELECT c_count, count(*) AS custdist FROM (SELECT c_custkey, count(o_orderkey) AS c_count FROM bronze.customer
    LEFT OUTER JOIN bronze.orders ON c_custkey = o_custkey AND o_orderpriority NOT LIKE '%special%' GROUP BY c_custkey) AS c_orders GROUP BY c_count
--- tpch_14
SELECT 100.00 * sum(CASE WHEN p_type LIKE 'PROMO%' THEN l_extendedprice * (1 - l_discount) ELSE 0 END) / sum(l_extendedprice * (1 - l_discount)) AS promo_revenue
FROM bronze.lineitem, bronze.part WHERE l_partkey = p_partkey
--- tpch_15 key=s_suppkey
WITH revenue0 AS (SELECT l_suppkey AS supplier_no, sum(l_extendedprice * (1 - l_discount)) AS total_revenue FROM bronze.lineitem GROUP BY l_suppkey)
SELECT s_suppkey, s_name, total_revenue FROM bronze.supplier, revenue0
WHERE s_suppkey = supplier_no AND total_revenue = (SELECT max(total_revenue) FROM revenue0)
--- tpch_16
SELECT p_brand, p_type, p_size, count(DISTINCT ps_suppkey) AS supplier_cnt FROM bronze.partsupp, bronze.part
WHERE p_partkey = ps_partkey AND p_brand <> 'Brand#1' AND ps_suppkey NOT IN (SELECT s_suppkey FROM bronze.supplier WHERE s_name LIKE '%3%')
GROUP BY p_brand, p_type, p_size
--- tpch_17
SELECT sum(l_extendedprice) / 7.0 AS avg_yearly FROM bronze.lineitem, bronze.part
WHERE p_partkey = l_partkey AND l_quantity < (SELECT 0.9 * avg(l_quantity) FROM bronze.lineitem WHERE l_partkey = p_partkey)
--- tpch_18 key=o_orderkey
SELECT c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice, sum(l_quantity) AS quantity
FROM bronze.customer, bronze.orders, bronze.lineitem
WHERE o_orderkey IN (SELECT l_orderkey FROM bronze.lineitem GROUP BY l_orderkey HAVING sum(l_quantity) > 30)
    AND c_custkey = o_custkey AND o_orderkey = l_orderkey GROUP BY c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice
--- tpch_19
SELECT sum(l_extendedprice * (1 - l_discount)) AS revenue FROM bronze.lineitem, bronze.part
WHERE (p_partkey = l_partkey AND p_brand = 'Brand#1' AND l_quantity >= 1 AND p_size BETWEEN 1 AND 5)
    OR (p_partkey = l_partkey AND p_brand = 'Brand#2' AND l_quantity >= 10 AND p_size BETWEEN 1 AND 10)
--- tpch_20
SELECT s_name, s_acctbal FROM bronze.supplier, bronze.nation WHERE s_suppkey IN (SELECT ps_suppkey FROM bronze.partsupp
    WHERE ps_partkey IN (SELECT p_partkey FROM bronze.part WHERE p_name LIKE 'part%')
        AND ps_availqty > (SELECT 0.1 * sum(l_quantity) FROM bronze.lineitem WHERE l_partkey = ps_partkey AND l_suppkey = ps_suppkey))
    AND s_nationkey = n_nationkey
--- tpch_21 key=s_name
SELECT s_name, count(*) AS numwait FROM bronze.supplier, bronze.lineitem l1, bronze.orders
WHERE s_suppkey = l1.l_suppkey AND o_orderkey = l1.l_orderkey AND o_orderstatus = 'F' AND l1.l_receiptdate > l1.l_commitdate
    AND EXISTS (SELECT * FROM bronze.lineitem l2 WHERE l2.l_orderkey = l1.l_orderkey AND l2.l_suppkey <> l1.l_suppkey)
    AND NOT EXISTS (SELECT * FROM bronze.lineitem l3 WHERE l3.l_orderkey = l1.l_orderkey AND l3.l_suppkey <> l1.l_suppkey AND l3.l_receiptdate > l3.l_commitdate)
GROUP BY s_name
--- tpch_22 key=cntrycode
SELECT cntrycode, count(*) AS numcust, sum(c_acctbal) AS totacctbal
FROM (SELECT substring(c_phone FROM 1 FOR 2) AS cntrycode, c_acctbal FROM bronze.customer
    WHERE c_acctbal > (SELECT avg(c_acctbal) FROM bronze.customer WHERE c_acctbal > 0.00)
        AND NOT EXISTS (SELECT * FROM bronze.orders WHERE o_custkey = c_custkey AND o_orderpriority = '1-URGENT')) AS custsale
GROUP BY cntrycode
--- share_of_the_total key=k
SELECT o_custkey AS k, sum(o_totalprice) / (SELECT sum(o_totalprice) FROM bronze.orders) AS share FROM bronze.orders GROUP BY o_custkey
--- share_of_whole_numbers key=k
SELECT o_custkey AS k, sum(o_shippriority + o_orderkey) * 1.0 / (SELECT sum(o_orderkey) FROM bronze.orders) AS share FROM bronze.orders GROUP BY o_custkey
--- share_of_narrow_numbers key=k
SELECT ps_partkey AS k, sum(ps_availqty) * 1.0 / (SELECT sum(ps_availqty) FROM bronze.partsupp) AS share FROM bronze.partsupp GROUP BY ps_partkey
--- above_the_average key=k
SELECT o_custkey AS k, avg(o_totalprice) - (SELECT avg(o_totalprice) FROM bronze.orders) AS above FROM bronze.orders GROUP BY o_custkey
--- having_above_the_average key=k
SELECT ps_partkey AS k, avg(ps_availqty) AS a FROM bronze.partsupp GROUP BY ps_partkey HAVING avg(ps_availqty) > (SELECT avg(ps_availqty) FROM bronze.partsupp)
--- case_of_the_total key=k
SELECT ps_partkey AS k, CASE WHEN sum(ps_availqty) * 12 > (SELECT sum(ps_availqty) FROM bronze.partsupp) THEN 'much' ELSE 'little' END AS share FROM bronze.partsupp GROUP BY ps_partkey
--- share_of_a_total_of_shares key=k
SELECT ps_partkey AS k, sum(ps_availqty) / (SELECT sum(ps_availqty) + (SELECT max(ps_availqty) FROM bronze.partsupp) FROM bronze.partsupp) AS share FROM bronze.partsupp GROUP BY ps_partkey
--- share_of_its_own_kind key=k
SELECT ps_availqty AS k, ps_partkey AS p, ps_availqty * 1.0 / (SELECT sum(i.ps_availqty) FROM bronze.partsupp i WHERE i.ps_partkey = o.ps_partkey) AS share FROM bronze.partsupp o
--- computed_total key=k
SELECT ps_partkey AS k, sum(ps_availqty) / (SELECT sum(ps_availqty) * 2 FROM bronze.partsupp) AS share FROM bronze.partsupp GROUP BY ps_partkey
--- cast_total key=k
SELECT ps_partkey AS k, sum(ps_availqty) / (SELECT CAST(sum(ps_availqty) AS double) FROM bronze.partsupp) AS share FROM bronze.partsupp GROUP BY ps_partkey
--- filtered_by_the_total key=k
SELECT ps_availqty AS k, ps_suppkey AS s FROM bronze.partsupp WHERE ps_availqty * 30 > (SELECT sum(ps_availqty) FROM bronze.partsupp) AND ps_supplycost > (SELECT avg(ps_supplycost) - 100 FROM bronze.partsupp)
--- part_of_a_join key=k
SELECT o.o_custkey AS k, count(*) AS n FROM bronze.orders o JOIN bronze.customer c ON o.o_custkey = c.c_custkey AND o.o_totalprice < (SELECT avg(o_totalprice) * 2 FROM bronze.orders) GROUP BY o.o_custkey
