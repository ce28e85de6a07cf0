package dns

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
)

// maxFile bounds how much of a file is read; hosts files that block
// advertisements have some megabytes.
const maxFile = 16 << 20

// reread is what a file says, read again when the file is another one than
// last time by inode, size or time. Safe for any goroutine.
type reread[T any] struct {
	path  string
	parse func(text string) T

	mu    sync.Mutex
	seen  os.FileInfo // nil: there was no file
	value *T          // nil: never read
}

// get is what the file says; where there is none, what an empty one would. Of
// an error the value before it stays, and is returned where there is one.
func (r *reread[T]) get() (*T, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// The file is looked at before it is read, so that whoever writes
	// meanwhile is noticed at the next call.
	info, err := os.Stat(r.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r.value, fmt.Errorf("look at %s: %w", r.path, err)
	}
	if r.value != nil && unchanged(r.seen, info) {
		return r.value, nil
	}
	var text []byte
	if err == nil {
		if text, err = readFile(r.path); err != nil {
			return r.value, err
		}
	}
	value := r.parse(string(text))
	r.seen, r.value = info, &value
	return r.value, nil
}

func unchanged(before, now os.FileInfo) bool {
	if before == nil || now == nil {
		return before == nil && now == nil
	}
	return os.SameFile(before, now) && before.Size() == now.Size() && before.ModTime().Equal(now.ModTime())
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read DNS settings: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return nil, fmt.Errorf("read DNS settings from %s: %w", path, err)
	}
	return text, nil
}
