package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
	"github.com/portreporter/portreporter/internal/interest"
)

// The bounds of what rules are read from.
const (
	maxRuleFile   = 1 << 20  // bytes; as much as a rule file may have
	maxBaseline   = 64 << 20 // bytes
	maxSigmaFiles = 20_000   // in all the directories of Sigma rules
)

// rules are the rules of interest as this machine has them, and what of them
// could not be loaded.
type rules struct {
	set     *interest.Set
	names   *addrNames
	skipped []error // Sigma rules that cannot be asked here
	files   []string
}

// rulesPath is where the rules are: named says that somebody said so.
func rulesPath(cfg Config) (path string, named bool) {
	if cfg.InterestRules != "" {
		return cfg.InterestRules, true
	}
	return filepath.Join(filepath.Dir(defaultPaths(os.Getenv).config), "interest.toml"), false
}

// baselinePath is where the baseline is, as rulesPath.
func baselinePath(cfg Config) (path string, named bool) {
	if cfg.InterestBaseline != "" {
		return cfg.InterestBaseline, true
	}
	return filepath.Join(cfg.Dir, "baseline.json"), false
}

// loadRules reads the rule file, the Sigma rules that it names, and the
// baseline. Files that nobody named need not be there. modules and writable are
// those of interest.Options. Mistakes in them are usage errors. The names of
// hosts are not looked up yet.
func loadRules(cfg Config, modules func(activity.ModuleSetID) *activity.ModuleSet, writable func(*activity.Process) bool) (*rules, error) {
	r := &rules{names: newAddrNames(cfg.InterestResolve)}
	opt := interest.Options{Names: r.names.of, AllNames: cfg.InterestResolve, Writable: writable,
		Filter: filter.Options{Now: time.Now(), Location: time.Local, Services: servicePort, Modules: modules}}
	var err error
	if opt.Baseline, err = r.baseline(cfg); err != nil {
		return nil, err
	}
	b := interest.NewBuilder(opt)
	path, named := rulesPath(cfg)
	r.files = append(r.files, path)
	switch data, err := readBounded(path, maxRuleFile); {
	case err == nil:
		if err := b.Add(path, data); err != nil {
			return nil, usagef("rules of interest: %w", err)
		}
	case named || !errors.Is(err, fs.ErrNotExist):
		return nil, usagef("rules of interest: %w", err)
	}
	if err := b.AddStarter(); err != nil {
		return nil, fmt.Errorf("rules of interest: %w", err)
	}
	for _, p := range b.Sigma() {
		if !filepath.IsAbs(p) {
			p = filepath.Join(filepath.Dir(path), p)
		}
		if _, err := addSigma(b, p, func(_ string, err error) {
			if err != nil {
				r.skipped = append(r.skipped, err)
			}
		}); err != nil {
			return nil, usagef("rules of interest: %s: sigma: %w", path, err)
		}
	}
	if r.set, err = b.Set(); err != nil {
		return nil, usagef("rules of interest: %w", err)
	}
	return r, nil
}

// lookUp looks up the hosts that the rules name.
func (r *rules) lookUp(ctx context.Context) { r.names.lookUp(ctx, r.set.Hosts()) }

// baseline reads the baseline, nil when there is none.
func (r *rules) baseline(cfg Config) (*interest.Baseline, error) {
	path, named := baselinePath(cfg)
	r.files = append(r.files, path)
	data, err := readBounded(path, maxBaseline)
	switch {
	case err != nil && !named && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)):
		return nil, nil
	case err != nil:
		return nil, usagef("rules of interest: %w", err)
	}
	b, err := interest.DecodeBaseline(data)
	if err != nil {
		return nil, usagef("rules of interest: %s: %w", path, err)
	}
	return b, nil
}

// addSigma adds the Sigma rules of a file, or of every .yml and .yaml file
// beneath a directory, and tells the result of each. The error is about the
// path itself.
func addSigma(b *interest.Builder, path string, tell func(name string, err error)) (files int, err error) {
	err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() || name != path && !isYAML(name):
			return nil
		}
		if files++; files > maxSigmaFiles {
			return fmt.Errorf("%s: more than %d files", path, maxSigmaFiles)
		}
		data, err := readBounded(name, maxRuleFile)
		if err == nil {
			err = b.AddSigma(name, data)
		}
		tell(name, err)
		return nil
	})
	return files, err
}

// isYAML tells Sigma rules from what lies beside them in their repository.
func isYAML(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return ext == ".yml" || ext == ".yaml"
}

// readBounded reads a file that may not be larger than most.
func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err // names the operation and the path
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, most)
	}
	return data, nil
}
