package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// A daemon that takes the question and is silent, because it is being stopped
// for example, is asked again.
func TestWaitAsksAgain(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			<-r.Context().Done()
		}
	}))
	defer server.Close()
	if code, _, errs := line(t, "wait", "--url", server.URL, "--timeout", "20s"); code != 0 {
		t.Errorf("exit %d after %d questions: %s", code, asked.Load(), errs)
	}
}

// Whoever logs goes on although nobody reads standard error, and the log tells
// afterwards that lines are missing.
func TestLogNeverWaits(t *testing.T) {
	read, write := io.Pipe() // without any buffer
	out := newLogWriter(write)
	const lines = 3 * logLines
	for range lines {
		out.Write([]byte("line\n"))
	}
	copied := make(chan string)
	go func() {
		text, _ := io.ReadAll(read)
		copied <- string(text)
	}()
	out.Close()
	write.Close()
	got := <-copied
	n := strings.Count(got, "line\n")
	told := fmt.Sprintf(`were dropped, because nobody read it","lines":%d}`, lines-n)
	if n < logLines || n == lines || !strings.Contains(got, told) {
		t.Errorf("%d of %d lines came, and the log does not say %q", n, lines, told)
	}
}

// The last lines are written before the process ends, unless nobody reads them.
func TestLogCloses(t *testing.T) {
	var got bytes.Buffer
	out := newLogWriter(&got)
	for range 100 {
		out.Write([]byte("line\n"))
	}
	out.Close()
	if n := strings.Count(got.String(), "line\n"); n != 100 {
		t.Errorf("%d lines were written, want 100", n)
	}
	out.Write([]byte("late\n")) // is lost, and does no harm

	_, stuck := io.Pipe()
	hung := newLogWriter(stuck)
	hung.Write([]byte("line\n"))
	hung.Close() // comes back all the same
	stuck.Close()
}
