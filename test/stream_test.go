package test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// engineCase is a way to make sluice move bytes by one engine.
type engineCase struct {
	name   string
	uid    uint32 // quotas for pipes are by user
	noPipe bool
	engine string // of bulk
}

func engineCases() []engineCase {
	return []engineCase{
		{name: "splice", uid: sidecarID, engine: "splice"},
		// A user of its own, so that others keep their quota.
		{name: "copy", uid: sidecarID + 1, noPipe: true, engine: "copy"},
	}
}

// TestStreams sends messages of both extreme sizes and long streams, both ways
// at once, by each engine. What arrives is what was sent.
func TestStreams(t *testing.T) {
	for _, tc := range engineCases() {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.applyRules(redirect, "-u", fmt.Sprint(tc.uid), "-g", fmt.Sprint(tc.uid))
			l := launch{uid: tc.uid}
			if tc.noPipe {
				takePipeQuota(w, w.pod.As(tc.uid, tc.uid))
			}
			s := startSidecar(w, sidecarText(settings{mode: redirect}), l)
			inbound := newWay(w, "inbound", w.client, w.pod, podIP+":7000")
			outbound := newWay(w, "outbound", w.pod, w.remote, remoteIP+":7000")
			for _, v := range []*way{inbound, outbound} {
				t.Run(v.name+" 1-byte messages", func(t *testing.T) { messages(s.in(t), v, 1, 3000) })
				t.Run(v.name+" 64 KiB messages", func(t *testing.T) { messages(s.in(t), v, 64<<10, 1000) })
			}
			t.Run("bulk", func(t *testing.T) { bulk(s.in(t), inbound, tc.engine) })
			if tc.name == "splice" {
				t.Run("many", func(t *testing.T) { manyStreams(s.in(t), outbound) })
			}
		})
	}
}

// takePipeQuota has another process of a user hold all pipe memory that the
// user may have.
func takePipeQuota(w *world, user *testnet.Host) {
	w.Helper()
	cmd := user.Command(w.roleProgram())
	cmd.Env = append(os.Environ(), roleVar+"="+rolePipes)
	user.StartCommand(cmd).WaitLog("holding")
}

// roleProgram is a copy of the test binary, to be started in a role: go test
// keeps its binaries where only their owner may go.
func (w *world) roleProgram() string {
	w.Helper()
	path := filepath.Join(w.net.Dir(), "role")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	exe, err := os.Executable()
	if err != nil {
		w.Fatal(err)
	}
	// Another process copies it: a descriptor of ours that is open for writing
	// would go to what other tests start meanwhile, and keep it from running.
	if out, err := exec.Command("install", "-m", "755", exe, path).CombinedOutput(); err != nil {
		w.Fatalf("copy the test binary: %v\n%s", err, out)
	}
	return path
}

// messages are sent one at a time, each way in turn, and echoed.
func messages(s *sidecar, v *way, size, count int) {
	client, server := v.open(s.w)
	echoed := make(chan error, 1)
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{server}, struct{ io.Reader }{server}, make([]byte, size))
		echoed <- errors.Join(err, server.CloseWrite())
	}()
	want := patternBytes(9, int64(size+count))
	for i := range count {
		message := want[i : i+size]
		write(s.w, client, message)
		if got := readFull(s.w, client, size); string(got) != string(message) {
			s.w.Fatalf("message %d came back changed", i)
		}
	}
	client.CloseWrite()
	wantEnd(s.w, client)
	if err := <-echoed; err != nil {
		s.w.Error(err)
	}
	server.Close()
	r := s.ended(client)
	if total := int64(size * count); r.BytesReceived != total || r.BytesSent != total || r.ending() != byClient {
		s.w.Errorf("record %+v, want %d bytes each way", r, total)
	}
	if size == 1 && r.Engine != "copy" {
		s.w.Errorf("engine %s for single bytes", r.Engine)
	}
}

// exchange sends n bytes each way at once and compares both hashes.
func exchange(a, b *net.TCPConn, n int64) error {
	type half struct{ from, to *net.TCPConn }
	var errs [2]error
	var both sync.WaitGroup
	for i, h := range []half{{a, b}, {b, a}} {
		sent := make(chan [32]byte, 1)
		failed := make(chan error, 1)
		both.Go(func() {
			sum, err := send(h.from, uint64(i), n)
			sent <- sum
			failed <- errors.Join(err, h.from.CloseWrite())
		})
		both.Go(func() {
			got, err := receive(h.to, n)
			if err != nil {
				h.to.Close() // or the sender would wait
			}
			if want := <-sent; err == nil && got != want {
				err = fmt.Errorf("the %d bytes that arrived are not those that were sent", n)
			}
			errs[i] = errors.Join(err, <-failed)
		})
	}
	both.Wait()
	return errors.Join(errs[0], errs[1])
}

func bulk(s *sidecar, v *way, engine string) {
	client, server := v.open(s.w)
	if err := exchange(client, server, bulkBytes); err != nil {
		s.w.Error(err)
	}
	client.Close()
	server.Close()
	r := s.ended(client)
	if r.Engine != engine || r.BytesReceived != bulkBytes || r.BytesSent != bulkBytes {
		s.w.Errorf("engine %q, %d bytes received, %d sent; want %s and %d each", r.Engine, r.BytesReceived, r.BytesSent, engine, int64(bulkBytes))
	}
	m := s.metrics()
	if moved := m.sum("sluice_relay_bytes_total", fmt.Sprintf("engine=%q", engine)); moved < bulkBytes {
		s.w.Errorf("%v bytes are counted for engine %s", moved, engine)
	}
}

// manyStreams are more than the pipes that the sidecar's user may have.
func manyStreams(s *sidecar, v *way) {
	const streams, size = 100, 4 << 20
	var all sync.WaitGroup
	type pair struct{ client, server *net.TCPConn }
	var pairs []pair
	for range streams {
		client, server := v.open(s.w)
		pairs = append(pairs, pair{client, server})
	}
	for _, p := range pairs {
		all.Go(func() {
			if err := exchange(p.client, p.server, size); err != nil {
				s.w.Error(err)
			}
		})
	}
	all.Wait()
	for _, p := range pairs {
		p.client.Close()
		p.server.Close()
		if r := s.ended(p.client); r.BytesReceived != size || r.BytesSent != size {
			s.w.Errorf("record %+v", r)
		}
	}
}
