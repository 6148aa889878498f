package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// maxConfigFile bounds what is read as a configuration file, in bytes: ours is
// under 4 KiB with all its comments.
const maxConfigFile = 1 << 20

func readConfigFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err // names the operation and the path
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfigFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxConfigFile {
		return nil, fmt.Errorf("%s: larger than %d bytes: not a configuration file", path, maxConfigFile)
	}
	return data, nil
}

// parseConfig sets in c what the TOML document data says; name is how errors
// call it. An error names file and line, and the nearest right key or word;
// then c is half set.
func parseConfig(name string, data []byte, c *Config) error {
	// The plain decoder first: it finds what is not TOML, and keys given twice.
	var all map[string]any
	if err := toml.Unmarshal(data, &all); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			row, _ := at.Position()
			return usagef("%s:%d: %w", name, row, err)
		}
		return usagef("%s: %w", name, err)
	}
	// Then the parser below it, since only that tells the line of each key.
	p := unstable.Parser{}
	p.Reset(data)
	table, line := "", 0
	for p.NextExpression() {
		e := p.Expression()
		key := keyOf(e)
		line = lineOf(&p, e, line)
		switch e.Kind {
		case unstable.Table:
			table = key + "."
			if !isTable(table) {
				return usagef("%s:%d: unknown table [%s]%s", name, line, key, didYouMean(key, "", tables()))
			}
		case unstable.KeyValue:
			if err := setKey(c, table+key, e.Value()); err != nil {
				return usagef("%s:%d: %w", name, line, err)
			}
		default:
			return usagef("%s:%d: unexpected [[%s]]: no setting is a list of tables", name, line, key)
		}
	}
	if err := p.Error(); err != nil {
		return usagef("%s: %w", name, err)
	}
	return nil
}

// setKey sets one key; an inline table is walked.
func setKey(c *Config, key string, v *unstable.Node) error {
	if v.Kind == unstable.InlineTable && isTable(key+".") {
		for it := v.Children(); it.Next(); {
			n := it.Node()
			if err := setKey(c, key+"."+keyOf(n), n.Value()); err != nil {
				return err
			}
		}
		return nil
	}
	for _, s := range settings() {
		if s.key != key {
			continue
		}
		value := s.value(c)
		if list, ok := value.(*listValue); ok && v.Kind == unstable.Array {
			text, err := listOf(v)
			if err == nil {
				err = list.Set(text)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			return nil
		}
		switch v.Kind {
		case unstable.String, unstable.Integer, unstable.Bool:
			if err := value.Set(string(v.Data)); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			return nil
		}
		return fmt.Errorf("%s: it takes a text, a number or true and false, not: %s", key, strings.ToLower(v.Kind.String()))
	}
	if isTable(key + ".") {
		return fmt.Errorf("%s is a table: write [%s] on a line of its own", key, key)
	}
	return fmt.Errorf("unknown key %q%s", key, didYouMean(key, "", keys()))
}

// listOf gives a TOML list of texts as listValue takes it.
func listOf(v *unstable.Node) (string, error) {
	list := []string{}
	for it := v.Children(); it.Next(); {
		switch n := it.Node(); n.Kind {
		case unstable.Comment:
		case unstable.String:
			list = append(list, string(n.Data))
		default:
			return "", fmt.Errorf("it takes a list of texts, not: %s", strings.ToLower(n.Kind.String()))
		}
	}
	text, err := json.Marshal(list)
	return string(text), err
}

// keyOf joins the parts of a table's or a key-value's dotted key.
func keyOf(n *unstable.Node) string {
	var parts []string
	for it := n.Key(); it.Next(); {
		parts = append(parts, string(it.Node().Data))
	}
	return strings.Join(parts, ".")
}

// lineOf gives the line of n's key. Data may be a copy, so only the raw range
// of the key's first part tells its place.
func lineOf(p *unstable.Parser, n *unstable.Node, before int) int {
	it := n.Key()
	if !it.Next() || it.Node().Raw.Length == 0 {
		return before
	}
	return p.Shape(it.Node().Raw).Start.Line
}

func keys() (names []string) {
	for _, s := range settings() {
		names = append(names, s.key)
	}
	return names
}

// tables lists the tables of the configuration file: all keys are of one or
// two parts.
func tables() (names []string) {
	for _, k := range keys() {
		if t, _, ok := strings.Cut(k, "."); ok && !slices.Contains(names, t) {
			names = append(names, t)
		}
	}
	return names
}

func isTable(prefix string) bool { return slices.Contains(tables(), strings.TrimSuffix(prefix, ".")) }
