package filter

import (
	"fmt"
	"strings"
)

// SyntaxError says where an expression is wrong, in one line.
type SyntaxError struct {
	Col  int      // 1-based, in characters
	Msg  string   // `unknown field "prot"`
	Near []string // the nearest right words, best first; at most three
}

func (e *SyntaxError) Error() string {
	if len(e.Near) == 0 {
		return fmt.Sprintf("filter: column %d: %s", e.Col, e.Msg)
	}
	quoted := make([]string, len(e.Near))
	for i, w := range e.Near {
		quoted[i] = `"` + w + `"`
	}
	return fmt.Sprintf("filter: column %d: %s: did you mean %s?", e.Col, e.Msg, orList(quoted))
}

// orList joins words as a sentence does: a, b or c.
func orList(ws []string) string {
	if len(ws) < 2 {
		return strings.Join(ws, "")
	}
	return strings.Join(ws[:len(ws)-1], ", ") + " or " + ws[len(ws)-1]
}

// Nearest returns the words at the least edit distance from s, if that is near
// enough to be a slip: at most a third of its length, and 1 for short ones; the
// best three at most. The words are in lower case.
func Nearest(s string, words []string) (near []string) {
	s = strings.ToLower(s)
	best := max(1, len(s)/3) + 1
	if len(s) > 32 {
		return nil
	}
	for _, w := range words {
		d := distance(s, w)
		if w == "" || d > best || d == best && near == nil {
			continue
		}
		if d < best {
			best, near = d, nil
		}
		near = append(near, w)
	}
	return near[:min(len(near), 3)]
}

// distance is the optimal string alignment distance: insertions, deletions,
// substitutions and swaps of neighbours, a byte each.
func distance(a, b string) int {
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(b)]
}
