package accesslog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/config"
	"go.uber.org/zap"
)

// Errors of this package.
var (
	ErrClosed    = errors.New("access logs are closed")
	ErrLinesLost = errors.New("access log lines were not written before the deadline")
)

const (
	defaultInterval = time.Second
	defaultLimit    = 4 << 20  // bytes of lines not yet written, for each file
	wakeAt          = 64 << 10 // bytes that are written without waiting for the interval
)

// Files opens each access-log file once, whichever chains write to it, and
// writes to it from a goroutine of its own. A file stays open until Close,
// also when a reload drops the last chain that names it.
type Files struct {
	log     *zap.Logger
	limit   int
	stdout  *os.File
	stderr  *os.File
	scratch sync.Pool

	mu     sync.Mutex
	open   map[string]*file
	closed bool
}

// NewFiles makes a set of no files. Trouble with files goes to log, at most
// once a minute for each.
func NewFiles(log *zap.Logger) *Files {
	return &Files{
		log: log, limit: defaultLimit, stdout: os.Stdout, stderr: os.Stderr, open: map[string]*file{},
		scratch: sync.Pool{New: func() any { buf := make([]byte, 0, 1024); return &buf }},
	}
}

// Logger compiles the access logs of one chain and opens their files. It
// fails on a bad format and on a path that cannot be opened; then nothing
// that was running is changed.
func (fs *Files) Logger(logs []config.AccessLog) (*Logger, error) {
	l := &Logger{scratch: &fs.scratch}
	for _, cfg := range logs {
		format, err := CompileFormat(cfg.Format)
		if err != nil {
			return nil, fmt.Errorf("access log %s: %w", cfg.Path, err)
		}
		f, err := fs.get(cfg.Path, cfg.FlushInterval)
		if err != nil {
			return nil, err
		}
		d := destination{file: f, format: format}
		for _, ev := range cfg.LogOn {
			d.events |= eventBit(ev)
		}
		l.destinations = append(l.destinations, d)
		l.events |= d.events
	}
	return l, nil
}

// get opens the file at path, or gives the open one. The shortest interval
// that anybody asked for holds.
func (fs *Files) get(path string, interval time.Duration) (*file, error) {
	if interval <= 0 {
		interval = defaultInterval
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.closed {
		return nil, fmt.Errorf("access log %s: %w", path, ErrClosed)
	}
	if f := fs.open[path]; f != nil {
		f.shorten(interval)
		return f, nil
	}
	out, err := fs.openOutput(path)
	if err != nil {
		return nil, fmt.Errorf("open access log %s (access_log.path): %w; does its directory exist and may this user write there?", path, err)
	}
	f := newFile(out, fs.limit, interval, fs.log.With(zap.String("path", path)))
	fs.open[path] = f
	go f.run()
	return f, nil
}

// openOutput opens the file, except for the standard streams, which may be
// sockets and so cannot be opened by name.
func (fs *Files) openOutput(path string) (*output, error) {
	switch path {
	case "/dev/stdout":
		return &output{file: fs.stdout}, nil
	case "/dev/stderr":
		return &output{file: fs.stderr}, nil
	}
	return openOutput(path)
}

// Reopen opens all files anew, for programs that rotate logs by renaming. It
// returns at once; each file follows when its current write is done. Lines
// are complete in either the old file or the new one.
func (fs *Files) Reopen() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.open {
		f.askReopen()
	}
}

// Dropped is how many lines were lost so far, on all files.
func (fs *Files) Dropped() uint64 {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	var sum uint64
	for _, f := range fs.open {
		sum += f.dropped.Load()
	}
	return sum
}

// Close writes what is buffered and closes the files. What cannot be written
// before ctx ends is given up and told by ErrLinesLost. Lines logged later
// are dropped.
func (fs *Files) Close(ctx context.Context) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.closed = true
	for _, f := range fs.open {
		f.askStop()
	}
	var errs []error
	for path, f := range fs.open {
		select {
		case <-f.done:
		case <-ctx.Done():
			f.giveUp()
		}
		if lines := f.unwritten(); lines > 0 {
			errs = append(errs, fmt.Errorf("access log %s: %d lines: %w", path, lines, ErrLinesLost))
		}
	}
	return errors.Join(errs...)
}
