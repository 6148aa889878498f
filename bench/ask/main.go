package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"text/tabwriter"

	"github.com/portreporter/portreporter/bench/run"
)

func main() {
	var c comparison
	flag.StringVar(&c.dir, "dir", "", "journal that bench/history made")
	flag.StringVar(&c.engines, "engines", "", "the program of bench/ask/engines; none: only our own answers")
	flag.StringVar(&c.sqlite, "sqlite", "", "its SQLite database; none: without SQLite")
	flag.IntVar(&c.rounds, "rounds", 5, "how often each question is asked")
	only := flag.String("only", "", "names of questions, comma separated; all")
	one := flag.String("one", "", "answer this question here, and print it as JSON (internal)")
	flag.Parse()
	ctx := context.Background()
	var err error
	if *one != "" {
		err = answerHere(ctx, c.dir, *one)
	} else {
		err = c.run(ctx, *only)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ask:", err)
		os.Exit(1)
	}
}

// answer is what a process that answered prints.
type answer struct {
	Nanoseconds int64  `json:"ns"`
	Processor   int64  `json:"cpu_ns"` // used by all threads meanwhile
	Rows        int    `json:"rows"`
	Sum         string `json:"sum"` // of the rows as text
	PeakKiB     int    `json:"peak_kib"`
}

type comparison struct {
	dir, engines, sqlite string
	rounds               int
}

// engine makes a command that answers a question, nil when it can't.
type engine struct {
	name    string
	command func(ctx context.Context, q question) *exec.Cmd
}

func (c *comparison) all() ([]engine, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	es := []engine{{"ours", func(ctx context.Context, q question) *exec.Cmd {
		return exec.CommandContext(ctx, self, "-dir", c.dir, "-one", q.name)
	}}}
	if c.engines != "" {
		es = append(es, engine{"duckdb", func(ctx context.Context, q question) *exec.Cmd {
			return exec.CommandContext(ctx, c.engines, "-engine", "duckdb", "-query", q.sql, "-setup",
				fmt.Sprintf("CREATE VIEW e AS SELECT *, epoch_ns(time) AS ns FROM read_parquet('%s/seg-*/events.parquet')", strings.ReplaceAll(c.dir, "'", "''")))
		}})
	}
	if c.engines != "" && c.sqlite != "" {
		es = append(es, engine{"sqlite", func(ctx context.Context, q question) *exec.Cmd {
			return exec.CommandContext(ctx, c.engines, "-engine", "sqlite", "-db", c.sqlite, "-query", cmp.Or(q.sqlite, q.sql), "-setup",
				"PRAGMA temp_store=MEMORY; PRAGMA mmap_size=17179869184; CREATE TEMP VIEW e AS SELECT *, time AS ns FROM events")
		}})
	}
	return es, nil
}

// figures are what one engine took for one question.
type figures struct {
	ms, cpu, mb []float64
	answer
}

func (c *comparison) run(ctx context.Context, only string) error {
	if c.dir == "" {
		return fmt.Errorf("which journal? (-dir)")
	}
	engines, err := c.all()
	if err != nil {
		return err
	}
	fmt.Println(run.Machine())
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "question\tengine\trows\tms\tprocessor ms\tpeak MB\tsame answer")
	for _, q := range questions() {
		if only != "" && !strings.Contains(","+only+",", ","+q.name+",") {
			continue
		}
		all := make([]figures, len(engines))
		for range c.rounds {
			for i, e := range engines {
				a, err := ask(e.command(ctx, q))
				if err != nil {
					return fmt.Errorf("%s: %s: %w", q.name, e.name, err)
				}
				all[i].answer = a
				all[i].ms, all[i].cpu = append(all[i].ms, float64(a.Nanoseconds)/1e6), append(all[i].cpu, float64(a.Processor)/1e6)
				all[i].mb = append(all[i].mb, float64(a.PeakKiB)/1024)
			}
		}
		for i, f := range all {
			fmt.Fprintf(w, "%s\t%s\t%d\t%v\t%.0f\t%.0f\t%v\n", q.name, engines[i].name, f.Rows, run.Summarise(f.ms), run.Summarise(f.cpu).Median, run.Summarise(f.mb).Max,
				f.Rows == all[0].Rows && f.Sum == all[0].Sum)
		}
		w.Flush()
	}
	return nil
}

func ask(cmd *exec.Cmd) (a answer, err error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return a, fmt.Errorf("%w: %s", err, errs.String())
	}
	return a, json.Unmarshal(out.Bytes(), &a)
}
