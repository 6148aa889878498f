// Command ask asks one journal the same questions three times over: Port
// Reporter's own reader, DuckDB on the same Parquet files, and SQLite on the
// same rows with the indexes that serve them. Each answer is made by a process
// of its own, whose most memory is told; rounds alternate between the engines;
// and the answers are compared.
//
//	go run ./bench/history -events 10000000 -dir /var/tmp/history
//	(cd bench/ask/engines && CGO_ENABLED=1 go build -o /var/tmp/engines .)
//	/var/tmp/engines -load /var/tmp/history -db /var/tmp/history.db
//	go run ./bench/ask -dir /var/tmp/history -engines /var/tmp/engines -sqlite /var/tmp/history.db
//
// The questions' constants are those of bench/history. An answer is made once
// its rows are: those of the SQL engines in a temporary table in memory, ours
// as events. Time is from the opening of the journal to the last row; what comes
// before, the start of the process, and for SQL the opening of the database, is
// left out. Files are in the kernel's cache.
package main
