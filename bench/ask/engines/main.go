// Command engines answers one question in SQL with DuckDB or SQLite, for
// bench/ask to compare with: it prints how long it took, the most memory the
// process has had, and a sum of the rows. It is a module of its own so that
// Port Reporter's doesn't have these engines.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"hash/fnv"
	"os"
	"strings"
	"syscall"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"
	_ "modernc.org/sqlite"
)

func main() {
	engine := flag.String("engine", "duckdb", "duckdb or sqlite")
	db := flag.String("db", "", "database file; none for DuckDB on Parquet")
	setup := flag.String("setup", "", "SQL before the question, not timed")
	query := flag.String("query", "", "the question: a SELECT")
	load := flag.String("load", "", "make the SQLite database -db of a journal's segments, and end")
	flag.Parse()
	ctx := context.Background()
	var err error
	if *load != "" {
		err = loadSQLite(ctx, *load, *db)
	} else {
		err = answer(ctx, *engine, *db, *setup, *query)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "engines:", err)
		os.Exit(1)
	}
}

// Answer is what is printed, as JSON.
type Answer struct {
	Nanoseconds int64  `json:"ns"`
	Processor   int64  `json:"cpu_ns"`
	Rows        int    `json:"rows"`
	Sum         string `json:"sum"`
	PeakKiB     int    `json:"peak_kib"`
}

func answer(ctx context.Context, engine, file, setup, query string) error {
	db, err := sql.Open(engine, file)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // temporary tables belong to a connection
	if setup != "" {
		if _, err := db.ExecContext(ctx, setup); err != nil {
			return fmt.Errorf("setup: %w", err)
		}
	}
	began, used := time.Now(), processorTime()
	if _, err := db.ExecContext(ctx, "CREATE TEMP TABLE answer AS "+query); err != nil {
		return fmt.Errorf("query: %w", err)
	}
	a := Answer{Nanoseconds: time.Since(began).Nanoseconds(), Processor: (processorTime() - used).Nanoseconds(), PeakKiB: peak()}
	if a.Rows, a.Sum, err = sum(ctx, db); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(a)
}

// sum adds up hashes of the rows as text, so that their order doesn't matter.
func sum(ctx context.Context, db *sql.DB) (n int, text string, err error) {
	rows, err := db.QueryContext(ctx, "SELECT * FROM answer")
	if err != nil {
		return 0, "", err
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		return 0, "", err
	}
	vs, ps := make([]any, len(cols)), make([]any, len(cols))
	for i := range vs {
		ps[i] = &vs[i]
	}
	var total uint64
	for rows.Next() {
		if err := rows.Scan(ps...); err != nil {
			return 0, "", err
		}
		var b strings.Builder
		for _, v := range vs {
			switch v := v.(type) {
			case nil:
			case time.Time:
				fmt.Fprint(&b, v.UnixNano())
			case int64: // the ids of processes take all 64 bits
				fmt.Fprint(&b, uint64(v))
			default:
				fmt.Fprint(&b, v)
			}
			b.WriteByte('|')
		}
		h := fnv.New64a()
		h.Write([]byte(b.String()))
		total += h.Sum64()
		n++
	}
	return n, fmt.Sprintf("%016x", total), rows.Err()
}

// processorTime is what this process has used of the processors.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peak is the process's VmHWM, in KiB; 0 where there is no /proc.
func peak() (n int) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &n); err == nil {
			return n
		}
	}
	return 0
}

// loadSQLite copies what the questions are about into a table with the indexes
// that serve them. Ids of processes become signed, as SQLite's numbers are.
func loadSQLite(ctx context.Context, journal, file string) error {
	from, err := sql.Open("duckdb", "")
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := sql.Open("sqlite", file)
	if err != nil {
		return err
	}
	defer to.Close()
	to.SetMaxOpenConns(1)
	for _, s := range []string{"PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF", "PRAGMA cache_size=-200000",
		`CREATE TABLE events (epoch INTEGER, seq INTEGER, time INTEGER, kind TEXT, proto TEXT, local_ip TEXT, local_port INTEGER, remote_ip TEXT, remote_port INTEGER,
			pid INTEGER, process INTEGER, netns INTEGER, socket INTEGER, rx INTEGER, tx INTEGER, duration_ns INTEGER)`} {
		if _, err := to.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	if err := copyRows(ctx, from, to, journal); err != nil {
		return err
	}
	for _, s := range []string{"CREATE INDEX local_port ON events(local_port, time)", "CREATE INDEX remote_port ON events(remote_port, time)",
		"CREATE INDEX remote_ip ON events(remote_ip)", "CREATE INDEX local_ip ON events(local_ip)", "CREATE INDEX sockets ON events(epoch, socket, seq, kind, time)", "ANALYZE"} {
		if _, err := to.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func copyRows(ctx context.Context, from, to *sql.DB, journal string) error {
	rows, err := from.QueryContext(ctx, `SELECT epoch, seq, epoch_ns(time), kind, proto, local_ip, local_port, remote_ip, remote_port, pid,
		CASE WHEN process > 9223372036854775807 THEN (process::HUGEINT - 18446744073709551616)::BIGINT ELSE process::BIGINT END, netns, socket, rx, tx, duration_ns
		FROM read_parquet('`+journal+`/seg-*/events.parquet')`)
	if err != nil {
		return err
	}
	defer rows.Close()
	tx, err := to.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	put, err := tx.PrepareContext(ctx, "INSERT INTO events VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")
	if err != nil {
		return err
	}
	vs, ps := make([]any, 16), make([]any, 16)
	for i := range vs {
		ps[i] = &vs[i]
	}
	for rows.Next() {
		if err := rows.Scan(ps...); err != nil {
			return err
		}
		for i, v := range vs {
			if u, ok := v.(uint64); ok {
				vs[i] = int64(u)
			}
		}
		if _, err := put.ExecContext(ctx, vs...); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return tx.Commit()
}
