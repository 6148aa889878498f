package cli

import (
	"fmt"
	"slices"
	"strings"
)

// nearest gives the candidate that the user most likely meant by word: one
// that begins with it (three letters or more), else the least edit distance,
// if that is at most a third of the word, and at least allowed once. "" when
// nothing comes near. Ties go to the candidate listed first.
func nearest(word string, candidates []string) string {
	word = strings.ToLower(word)
	if len(word) > 64 { // no word of ours is that long, and the distance is quadratic
		return ""
	}
	if len(word) >= 3 {
		if i := slices.IndexFunc(candidates, func(c string) bool { return strings.HasPrefix(c, word) }); i >= 0 {
			return candidates[i]
		}
	}
	best, least := "", max(1, len(word)/3)+1
	for _, c := range candidates {
		if d := editDistance(word, strings.ToLower(c)); d < least {
			best, least = c, d
		}
	}
	return best
}

// didYouMean ends an error about word with the nearest candidate, if any, each
// shown behind prefix: `; did you mean "--json"?`.
func didYouMean(word, prefix string, candidates []string) string {
	if c := nearest(word, candidates); c != "" {
		return fmt.Sprintf("; did you mean %q?", prefix+c)
	}
	return ""
}

// editDistance counts insertions, deletions, replacements and swaps of
// neighbours (optimal string alignment), in bytes: our words are ASCII.
func editDistance(a, b string) int {
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
