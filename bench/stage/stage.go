package stage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/sluiceproxy/sluice/bench"
	"github.com/sluiceproxy/sluice/bench/subject"
)

// Options are what a stage is made of.
type Options struct {
	Sluice      string // the binary whose `iptables apply` makes the capture rules
	Self        string // the sluicebench binary, for its commands backend and load
	Workers     int    // of each subject
	Loops       int    // of each backend; 0 = 1
	Connections int    // the most at a time; 0 = 9500, what 20,000 descriptors are enough for
}

// Stage is a place for subjects in one mode.
type Stage struct {
	mode    bench.Mode
	options Options
	dir     string // every user may enter it

	mu       sync.Mutex
	started  int
	ports    ports
	running  []*Running
	programs map[string]string // see reachable
}

// New makes a stage. The caller closes it.
func New(mode bench.Mode, options Options) (*Stage, error) {
	if !slices.Contains(bench.Modes(), mode) {
		return nil, fmt.Errorf("mode %q: want one of %v", mode, bench.Modes())
	}
	options.Loops = cmp.Or(options.Loops, 1)
	options.Connections = cmp.Or(options.Connections, 9500)
	dir, err := os.MkdirTemp("", "sluicebench-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		return nil, fmt.Errorf("make a directory for the configurations: %w", err)
	}
	return &Stage{mode: mode, options: options, dir: dir, programs: map[string]string{}}, nil
}

// Start starts a subject with its backend and returns when a request has come
// back through it. series is for sluice: about how many series its metrics are
// to have at least. The caller stops what runs, or closes the stage. It may be
// called for several subjects at a time.
func (s *Stage) Start(ctx context.Context, sub *subject.Subject, series int) (*Running, error) {
	if why := sub.Lacks(s.mode); why != "" {
		return nil, fmt.Errorf("%s has no mode %s: %s", sub.Name, s.mode, why)
	}
	dir, err := s.newDir(sub.Name)
	if err != nil {
		return nil, err
	}
	r := &Running{Subject: sub, stage: s, dir: dir}
	err = r.start(ctx, series)
	if err != nil {
		err = fmt.Errorf("start %s in mode %s: %w", sub.Name, s.mode, errors.Join(err, r.Stop()))
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = append(s.running, r)
	return r, nil
}

// newDir makes a directory for one subject. Every user may write to it, as the
// subject may be anybody.
func (s *Stage) newDir(name string) (string, error) {
	s.mu.Lock()
	s.started++
	dir := filepath.Join(s.dir, name+"-"+strconv.Itoa(s.started))
	s.mu.Unlock()
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		err = os.Chmod(dir, 0o777|os.ModeSticky)
	}
	if err != nil {
		return "", fmt.Errorf("make a directory for %s: %w", name, err)
	}
	return dir, nil
}

// Close stops everything that still runs and removes what was made. Its error
// names those that had ended by themselves.
func (s *Stage) Close() error {
	s.mu.Lock()
	running := s.running
	s.running = nil
	s.mu.Unlock()
	var errs []error
	for _, r := range slices.Backward(running) {
		errs = append(errs, r.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}
