package accesslog

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
	"golang.org/x/sys/unix"
)

func TestOneFileForAllChains(t *testing.T) {
	files, _ := newTestFiles(t)
	path := filepath.Join(t.TempDir(), "access.log")
	first := newTestLogger(t, files, target(path, "%CONNECTION_ID% first"))
	second := newTestLogger(t, files, target(path, "%CONNECTION_ID% second"))
	first.Log(config.LogEnd, ended())
	second.Log(config.LogEnd, ended())
	waitContent(t, path, "42 first\n42 second\n")
	if len(files.open) != 1 {
		t.Errorf("%d files open, want 1", len(files.open))
	}
}

func TestOnlyWantedEvents(t *testing.T) {
	files, _ := newTestFiles(t)
	path := filepath.Join(t.TempDir(), "access.log")
	cfg := target(path, "%ACCESS_LOG_TYPE%")
	cfg.LogOn = []config.LogEvent{config.LogStart, config.LogConnected}
	logger := newTestLogger(t, files, cfg)
	for _, ev := range []config.LogEvent{config.LogStart, config.LogConnected, config.LogEnd} {
		if got, want := logger.Wants(ev), ev != config.LogEnd; got != want {
			t.Errorf("wants %s: %v", ev, got)
		}
		logger.Log(ev, ended())
	}
	waitContent(t, path, "TcpConnectionStart\nTcpUpstreamConnected\n")
	var none *Logger
	if none.Wants(config.LogEnd) {
		t.Error("a nil logger wants lines")
	}
	none.Log(config.LogEnd, ended())
}

func TestLoggerErrors(t *testing.T) {
	files, _ := newTestFiles(t)
	missing := filepath.Join(t.TempDir(), "missing", "access.log")
	if _, err := files.Logger([]config.AccessLog{target(missing, "json")}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("missing directory: %v", err)
	}
	if _, err := files.Logger([]config.AccessLog{target("/dev/null", "%X%")}); err == nil || !strings.Contains(err.Error(), "unknown operator") {
		t.Errorf("bad format: %v", err)
	}
}

func TestReopenAfterRename(t *testing.T) {
	files, _ := newTestFiles(t)
	path := filepath.Join(t.TempDir(), "access.log")
	logger := newTestLogger(t, files, target(path, "%CONNECTION_ID%"))
	logger.Log(config.LogEnd, ended())
	waitContent(t, path, "42\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	logger.Log(config.LogEnd, refused())
	waitContent(t, path+".1", "42\n43\n")
	files.Reopen()
	waitFor(t, "the new file", func() bool { _, err := os.Stat(path); return err == nil })
	logger.Log(config.LogEnd, ended())
	waitContent(t, path, "42\n")
	waitContent(t, path+".1", "42\n43\n")
}

// The daemon must go on when nobody reads: bounded, counted, and no Log waits.
func TestFifoThatNobodyReads(t *testing.T) {
	files, _ := newTestFiles(t)
	files.limit = 256 << 10
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	logger := newTestLogger(t, files, target(path, "json"))
	for i := 0; files.Dropped() == 0; i++ {
		if i > 1e6 {
			t.Fatal("a million lines, and none dropped: memory is not bounded")
		}
		logger.Log(config.LogEnd, ended())
	}
	f := files.open[path]
	f.mu.Lock()
	if kept := len(f.pending) + f.inflight; kept > files.limit {
		t.Errorf("%d bytes kept, want at most %d", kept, files.limit)
	}
	f.mu.Unlock()
	// A reader comes: everything kept arrives, whole.
	reader, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	scanner := bufio.NewScanner(reader)
	for range 100 {
		if !scanner.Scan() || !json.Valid(scanner.Bytes()) {
			t.Fatalf("broken line %q, error %v", scanner.Text(), scanner.Err())
		}
	}
}

func TestCloseGivesUpAtItsDeadline(t *testing.T) {
	files, _ := newTestFiles(t)
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	logger := newTestLogger(t, files, target(path, "json"))
	for range 1000 {
		logger.Log(config.LogEnd, ended())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := files.Close(ctx); !errors.Is(err, ErrLinesLost) {
		t.Errorf("close: %v, want ErrLinesLost", err)
	}
	<-files.open[path].done // the goroutine ended too
}

func TestCloseWritesEverything(t *testing.T) {
	files, _ := newTestFiles(t)
	path := filepath.Join(t.TempDir(), "access.log")
	cfg := target(path, "%CONNECTION_ID%")
	cfg.FlushInterval = time.Hour
	logger := newTestLogger(t, files, cfg)
	for range 100 {
		logger.Log(config.LogEnd, ended())
	}
	if err := files.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := len(lines(content(path))); got != 100 {
		t.Errorf("%d lines, want 100", got)
	}
	logger.Log(config.LogEnd, ended())
	if got := files.Dropped(); got != 1 {
		t.Errorf("after close %d dropped, want the 1 logged too late", got)
	}
	if _, err := files.Logger([]config.AccessLog{target(path, "json")}); !errors.Is(err, ErrClosed) {
		t.Errorf("after close: %v, want ErrClosed", err)
	}
}

func TestBigBufferIsWrittenBeforeTheInterval(t *testing.T) {
	files, _ := newTestFiles(t)
	path := filepath.Join(t.TempDir(), "access.log")
	cfg := target(path, "json")
	cfg.FlushInterval = time.Hour
	logger := newTestLogger(t, files, cfg)
	for range 64<<10/len(line(t, "json", ended())) + 1 {
		logger.Log(config.LogEnd, ended())
	}
	waitFor(t, "lines in the file", func() bool { return content(path) != "" })
}

// The disk is full, and then it is not any more.
func TestDiskFull(t *testing.T) {
	files, trouble := newTestFiles(t)
	directory := t.TempDir()
	path, real := filepath.Join(directory, "access.log"), filepath.Join(directory, "real.log")
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	files.limit = 64
	logger := newTestLogger(t, files, target(path, "%CONNECTION_ID%"))
	logger.Log(config.LogEnd, ended())
	waitFor(t, "a complaint", func() bool { return trouble.Len() > 0 })
	if message := fmt.Sprint(trouble.All()[0].ContextMap()); !strings.Contains(message, "no space left") || !strings.Contains(message, path) {
		t.Errorf("complaint %s", message)
	}
	for files.Dropped() == 0 {
		logger.Log(config.LogEnd, ended())
	}
	if err := errors.Join(os.Remove(path), os.Symlink(real, path)); err != nil {
		t.Fatal(err)
	}
	files.Reopen()
	waitFor(t, "the kept lines", func() bool { return strings.HasPrefix(content(real), "42\n42\n") })
	if trouble.Len() > 1 {
		t.Errorf("%d complaints within a minute, want 1", trouble.Len())
	}
}

func TestPipeWithoutReader(t *testing.T) {
	files, trouble := newTestFiles(t)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	reader.Close()
	files.stdout = writer
	logger := newTestLogger(t, files, target("/dev/stdout", "json"))
	logger.Log(config.LogEnd, ended())
	waitFor(t, "a complaint", func() bool { return trouble.Len() > 0 })
	if message := fmt.Sprint(trouble.All()[0].ContextMap()); !strings.Contains(message, "broken pipe") {
		t.Errorf("complaint %s", message)
	}
}

func TestDirectoryVanishesAndComesBack(t *testing.T) {
	files, trouble := newTestFiles(t)
	directory := filepath.Join(t.TempDir(), "logs")
	path := filepath.Join(directory, "access.log")
	if err := os.Mkdir(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	logger := newTestLogger(t, files, target(path, "%CONNECTION_ID%"))
	if err := os.RemoveAll(directory); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a complaint", func() bool { return trouble.Len() > 0 })
	logger.Log(config.LogEnd, ended())
	if err := os.Mkdir(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	waitContent(t, path, "42\n")
}

func TestConcurrentLogging(t *testing.T) {
	files, _ := newTestFiles(t)
	path := filepath.Join(t.TempDir(), "access.log")
	logger := newTestLogger(t, files, target(path, "json"))
	const loops, each = 8, 500
	var group sync.WaitGroup
	for range loops {
		group.Go(func() {
			record := ended()
			for range each {
				logger.Log(config.LogEnd, record)
			}
		})
	}
	group.Go(func() {
		for range 20 {
			files.Reopen()
			_ = files.Dropped()
		}
	})
	group.Wait()
	if err := files.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	written := lines(content(path))
	if uint64(len(written))+files.Dropped() != loops*each {
		t.Errorf("%d lines written and %d dropped, want %d", len(written), files.Dropped(), loops*each)
	}
	for _, text := range written {
		if !json.Valid([]byte(text)) {
			t.Fatalf("broken line %q", text)
		}
	}
}
