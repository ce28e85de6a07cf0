// Package watch tells when the content of a file has changed, whichever way:
// written in place, renamed over, or reached through a link that is swapped, as
// Kubernetes does with ConfigMaps.
//
//	file, err := watch.New(path) // err: it is looked at from time to time only
//	go file.Run(ctx, reload)
package watch

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// quiet is how long nothing must happen before the file is read: editors and
	// ConfigMap updates take several steps.
	quiet = 200 * time.Millisecond

	// longest bounds the wait where steps never end.
	longest = 2 * time.Second

	// look is how often the file is read anyway: inotify knows nothing of other
	// hosts (NFS), and of what a link's target beyond the directory does.
	look = 30 * time.Second
)

// File is a file that is watched. New makes it.
type File struct {
	path    string
	sum     [sha256.Size]byte
	watcher *fsnotify.Watcher // nil: there is none
}

// New begins to watch: what changes from now on is noticed by Run, which must be
// called. An error says that the directory cannot be watched; the file is then
// only looked at from time to time.
func New(path string) (*File, error) {
	f := &File{path: path}
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		// The directory, and not the file: what replaces it has another inode.
		if err = watcher.Add(filepath.Dir(path)); err != nil {
			watcher.Close()
		} else {
			f.watcher = watcher
		}
	}
	if err != nil {
		err = fmt.Errorf("watching %s for changes of %s: %w; it is looked at every %v instead", filepath.Dir(path), filepath.Base(path), err, look)
	}
	f.differs()
	return f, err
}

// differs reads the file and says whether its content is another one.
func (f *File) differs() bool {
	content, err := os.ReadFile(f.path)
	if err != nil {
		return false
	}
	sum := sha256.Sum256(content)
	differs := sum != f.sum
	f.sum = sum
	return differs
}

// Run calls changed whenever the content of the file is another one than the last
// time, until ctx ends. A file that cannot be read, as in the middle of a swap, is
// no change.
func (f *File) Run(ctx context.Context, changed func()) {
	var events chan fsnotify.Event
	var errors chan error
	if f.watcher != nil {
		defer f.watcher.Close()
		events, errors = f.watcher.Events, f.watcher.Errors
	}
	var settled <-chan time.Time // nil: nothing happens
	var since time.Time          // the first step of what happens
	poll := time.NewTicker(look)
	defer poll.Stop()
	check := func() {
		settled = nil
		if f.differs() {
			changed()
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
			if settled == nil {
				since = time.Now()
			}
			settled = time.After(max(0, min(quiet, longest-time.Since(since))))
		case <-errors: // an overflow of the queue: something has happened
			settled = time.After(quiet)
		case <-settled:
			check()
		case <-poll.C:
			check()
		}
	}
}
