package accesslog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"
)

// idleFile is a file whose goroutine does not run: the test is it.
func idleFile(t *testing.T, path string) *file {
	t.Helper()
	out, err := openOutput(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.close)
	return newFile(out, 1<<20, time.Hour, zap.NewNop())
}

// A pipe takes a part of a line only; the rest must follow, and nothing
// between.
func TestPartialWriteKeepsLinesWhole(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	defer writer.Close()
	f := newFile(&output{file: writer}, 1<<20, time.Hour, zap.NewNop())
	text := strings.Repeat("x", 99_999) + "\n" // a pipe holds 65,536 bytes
	f.append([]byte(text))
	written := make(chan struct{})
	go func() {
		defer close(written)
		f.round()
	}()
	waitFor(t, "the pipe is full", func() bool {
		n, err := unix.IoctlGetInt(int(reader.Fd()), unix.TIOCINQ)
		return err == nil && n > 0
	})
	if err := writer.SetWriteDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	<-written
	if !f.begun || f.unwritten() != 1 {
		t.Fatalf("begun %v with %d lines unwritten; the write was to be a partial one", f.begun, f.unwritten())
	}
	if err := writer.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	f.append([]byte("next\n"))
	received := make(chan string)
	go func() {
		buf := make([]byte, len(text)+len("next\n"))
		read := 0
		for read < len(buf) {
			n, err := reader.Read(buf[read:])
			if err != nil {
				break
			}
			read += n
		}
		received <- string(buf[:read])
	}()
	f.round()
	if got := <-received; got != text+"next\n" {
		t.Errorf("received %d bytes ending in %q", len(got), got[max(0, len(got)-10):])
	}
}

// A line begun on a full disk does not end up, beheaded, in the new file.
func TestReopenInTheMiddleOfALine(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "access.log")
	f := idleFile(t, path)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.out.close()
	f.out.file = full
	f.writing, f.head, f.begun = []byte("beheaded\nwhole\n"), 4, true
	f.inflight = len(f.writing) - f.head
	f.askReopen()
	f.round()
	if got := content(path); got != "whole\n" {
		t.Errorf("new file holds %q, want the whole line only", got)
	}
	if got := f.dropped.Load(); got != 1 {
		t.Errorf("%d dropped, want the 1 beheaded line", got)
	}
}

func TestStranded(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := openOutput(filepath.Join(directory, "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.close()
	if err := out.stranded(); err != nil {
		t.Errorf("fresh file: %v", err)
	}
	if err := os.Rename(out.path, out.path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := out.stranded(); err != nil {
		t.Errorf("renamed file: %v", err)
	}
	if err := os.Rename(directory, directory+".1"); err != nil {
		t.Fatal(err)
	}
	if err := out.stranded(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory gone: %v", err)
	}
	if err := os.Mkdir(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := out.stranded(); err == nil {
		t.Error("directory replaced, and nobody noticed")
	}
}

func TestEmptiedBigBufferIsLetGo(t *testing.T) {
	f := idleFile(t, filepath.Join(t.TempDir(), "access.log"))
	f.limit = 4 << 20
	f.append([]byte(strings.Repeat("x", 2<<20) + "\n"))
	f.round()
	f.round()
	if cap(f.pending) > keepAtMost || cap(f.writing) > keepAtMost {
		t.Errorf("buffers of %d and %d bytes kept", cap(f.pending), cap(f.writing))
	}
}

// A disk that stays full must not fill the log, too.
func TestTroubleIsToldOnceAMinute(t *testing.T) {
	f := idleFile(t, "/dev/full")
	core, trouble := observer.New(zap.WarnLevel)
	f.log = zap.New(core)
	f.append([]byte("line\n"))
	for range 3 {
		f.round()
	}
	if trouble.Len() != 1 {
		t.Errorf("told %d times in three rounds, want once", trouble.Len())
	}
	f.complain = f.complain.Add(-complainEvery)
	f.round()
	if trouble.Len() != 2 {
		t.Errorf("told %d times after a minute, want twice", trouble.Len())
	}
}
