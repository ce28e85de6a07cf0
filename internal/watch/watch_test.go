package watch

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

func TestMain(m *testing.M) { testnet.Main(m) }

const patience = time.Minute

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// rewrite changes a file by one write: an empty one would be another change, if
// that is all that happens for a while.
func rewrite(t *testing.T, path, content string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	defer file.Close()
	_, err = file.WriteString(content)
	must(t, err)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// swap does what kubelet does: a new directory of data, and the link to it
// renamed over the old one.
func swap(t *testing.T, dir, data, content string) {
	t.Helper()
	must(t, os.Mkdir(filepath.Join(dir, data), 0o700))
	write(t, filepath.Join(dir, data, "sluice.yaml"), content)
	must(t, os.Symlink(data, filepath.Join(dir, "..data_tmp")))
	must(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
}

type changeCase struct {
	name   string
	change func(t *testing.T, dir, path string)
}

// Each way of changing a file is noticed, once.
func TestFile(t *testing.T) {
	for _, tc := range []changeCase{
		{"written in place", func(t *testing.T, _, path string) { rewrite(t, path, "b") }},
		{"renamed over", func(t *testing.T, dir, path string) {
			write(t, filepath.Join(dir, "new"), "b")
			must(t, os.Rename(filepath.Join(dir, "new"), path))
		}},
		{"gone for a while", func(t *testing.T, dir, path string) {
			must(t, os.Remove(path))
			write(t, filepath.Join(dir, "new"), "b")
			must(t, os.Rename(filepath.Join(dir, "new"), path))
		}},
		{"a ConfigMap's link swapped", func(t *testing.T, dir, _ string) { swap(t, dir, "..2", "b") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			swap(t, dir, "..1", "a")
			path := filepath.Join(dir, "sluice.yaml")
			must(t, os.Symlink(filepath.Join("..data", "sluice.yaml"), path))
			if tc.name != "a ConfigMap's link swapped" {
				must(t, os.Remove(path))
				write(t, path, "a")
			}
			changes, ended := make(chan struct{}, 100), make(chan struct{})
			ctx, cancel := context.WithCancel(context.Background())
			file, err := New(path)
			must(t, err)
			go func() {
				defer close(ended)
				file.Run(ctx, func() { changes <- struct{}{} })
			}()
			tc.change(t, dir, path)
			select {
			case <-changes:
			case <-time.After(patience):
				t.Fatal("not noticed")
			}
			write(t, filepath.Join(dir, "other"), "y")
			cancel()
			<-ended
			if n := len(changes); n != 0 {
				t.Errorf("noticed %d times too often", n)
			}
		})
	}
}

// Without the directory there is a word about it, and no end.
func TestNoDirectory(t *testing.T) {
	file, err := New(filepath.Join(t.TempDir(), "no", "sluice.yaml"))
	if err == nil {
		t.Error("no error")
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		file.Run(ctx, func() { t.Error("changed") })
	}()
	cancel()
	<-ended
}
