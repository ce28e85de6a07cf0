package proxy

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// hashed is what one end of a stream has seen.
type hashed struct {
	n   int64
	sum string
	err error
}

func hashOf(n int64, h hash.Hash, err error) hashed {
	return hashed{n, fmt.Sprintf("%x", h.Sum(nil)), err}
}

// stream writes blocks of up to size bytes until stop, and then FIN.
func stream(conn *net.TCPConn, seed byte, size int, stop *atomic.Bool) <-chan hashed {
	done := make(chan hashed, 1)
	go func() {
		h, n, all := sha256.New(), int64(0), make([]byte, 2*size)
		rand.NewChaCha8([32]byte{seed}).Read(all)
		for i := 0; !stop.Load(); i++ {
			block := all[i%size:][:size]
			h.Write(block)
			m, err := conn.Write(block)
			n += int64(m)
			if err != nil {
				done <- hashOf(n, h, err)
				return
			}
		}
		done <- hashOf(n, h, conn.CloseWrite())
	}()
	return done
}

func receive(conn *net.TCPConn) <-chan hashed {
	done := make(chan hashed, 1)
	go func() {
		h := sha256.New()
		n, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{conn}, make([]byte, 256<<10))
		done <- hashOf(n, h, err)
	}()
	return done
}

func expectEqual(t *testing.T, what string, sent, got hashed) {
	t.Helper()
	if sent != got || sent.err != nil {
		t.Errorf("%s: sent %+v, received %+v", what, sent, got)
	}
}

type streamCase struct {
	name string
	size int // of a write
}

// Streams in both directions go on while the connection moves a hundred times to
// and fro, and every byte arrives.
func TestHandOverOfStreams(t *testing.T) {
	for _, tc := range []streamCase{{"small", 100}, {"large", 1 << 20}} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSuccession(t, plain)
			client, server := s.connect()
			var stop atomic.Bool
			up, down := stream(client, 1, tc.size, &stop), stream(server, 2, tc.size, &stop)
			atServer, atClient := receive(server), receive(client)
			for range 50 {
				if pass(t, s.old, s.new) != 1 || pass(t, s.new, s.old) != 1 {
					t.Fatal("the connection was not passed on")
				}
			}
			if pass(t, s.old, s.new) != 1 {
				t.Fatal("the connection was not passed on")
			}
			stop.Store(true)
			sentUp, sentDown := <-up, <-down
			expectEqual(t, "client to server", sentUp, <-atServer)
			expectEqual(t, "server to client", sentDown, <-atClient)
			line := s.line(1)
			if want := fmt.Sprintf("gateway to-app app %d %d ", sentUp.n, sentDown.n); !strings.HasPrefix(line, want) || !strings.Contains(line, " fin ") {
				t.Errorf("line %q, want %q", line, want)
			}
			if tc.size > 64<<10 && !strings.HasSuffix(line, " splice") {
				t.Errorf("line %q of a stream that was not spliced", line)
			}
			s.expectNoLine(0)
			s.expectBytes(sentUp.n, sentDown.n)
		})
	}
}

// expectBytes checks that each byte was counted once, here or there.
func (s *succession) expectBytes(up, down int64) {
	s.t.Helper()
	var got [4]int64
	for _, w := range []*workbench{s.old, s.new} {
		chain := w.chains.fallback
		upstream := &chain.routes[0].cluster.Stats
		got[0] += int64(w.counted(chain.tcp.RxBytes))
		got[1] += int64(w.counted(upstream.TxBytes))
		got[2] += int64(w.counted(upstream.RxBytes))
		got[3] += int64(w.counted(chain.tcp.TxBytes))
	}
	if want := [4]int64{up, up, down, down}; got != want {
		s.t.Errorf("both together have counted %v bytes, want %v", got, want)
	}
}

// ends runs a test for each end as the one that acts.
func ends(t *testing.T, test func(t *testing.T, s *succession, actor, other *net.TCPConn, name string)) {
	for _, name := range []string{"downstream", "upstream"} {
		t.Run(name, func(t *testing.T) {
			s := newSuccession(t, plain)
			actor, other := s.connect()
			if name == "upstream" {
				actor, other = other, actor
			}
			test(t, s, actor, other, name)
		})
	}
}

// After one end's FIN the other direction goes on.
func TestHandOverHalfClosed(t *testing.T) {
	ends(t, func(t *testing.T, s *succession, actor, other *net.TCPConn, name string) {
		must(t, actor.CloseWrite())
		if _, err := other.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Fatalf("the other end sees %v", err)
		}
		var stop atomic.Bool
		sent, got := stream(other, 3, 100_000, &stop), receive(actor)
		for range 50 {
			if pass(t, s.old, s.new) != 1 || pass(t, s.new, s.old) != 1 {
				t.Fatal("the connection was not passed on")
			}
		}
		stop.Store(true)
		expectEqual(t, "after the half-close", <-sent, <-got)
		if line := s.line(0); !strings.Contains(line, " "+name+" fin ") {
			t.Errorf("line %q, want a FIN by %s first", line, name)
		}
	})
}

// Bytes wait for a reader that has stopped, in all buffers there are.
func TestHandOverBehindASlowReader(t *testing.T) {
	ends(t, func(t *testing.T, s *succession, actor, other *net.TCPConn, _ string) {
		random, wrote, block := rand.NewChaCha8([32]byte{7}), new(bytes.Buffer), make([]byte, 128<<10)
		for full := false; !full; {
			random.Read(block)
			must(t, actor.SetWriteDeadline(time.Now().Add(time.Second)))
			n, err := actor.Write(block)
			wrote.Write(block[:n])
			full = err != nil
		}
		waited := 0
		from, to := s.old, s.new
		for range 101 {
			list := from.export(1)
			waited += len(list[0].FromDownstream.Waiting) + len(list[0].FromUpstream.Waiting)
			must(t, to.take(sent(t, list[0])))
			list[0].close()
			from, to = to, from
		}
		if waited == 0 {
			t.Error("no byte ever waited")
		}
		must(t, actor.CloseWrite())
		got, err := io.ReadAll(other)
		must(t, err)
		if !bytes.Equal(got, wrote.Bytes()) {
			t.Errorf("%d bytes sent, %d received, not the same", wrote.Len(), len(got))
		}
	})
}
