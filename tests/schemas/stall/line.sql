-- A line of a bill.
SELECT
    json_build_array(line.bill, line.line) AS id,
    json_build_object('text', line.text) AS document
FROM unnest(%(ids_1)s, %(ids_2)s) AS wanted (bill, line)
JOIN stall.line AS line USING (bill, line)
