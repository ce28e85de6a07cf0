package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// sample is one line of a scrape.
type sample struct {
	family string
	labels string // as they stand there, with the braces
	value  float64
}

// scrape is what /stats/prometheus said.
type scrape []sample

// metrics scrapes the metrics port.
func (s *sidecar) metrics() scrape {
	s.w.Helper()
	var m scrape
	var err error
	s.w.eventually(func() error {
		// In one test there are four ports, which earlier scrapes may hold for a moment.
		if m, err = s.scrape(); errors.Is(err, errSlowScrape) || errors.Is(err, syscall.EADDRNOTAVAIL) {
			return err
		}
		return nil
	})
	if err != nil {
		s.w.Fatal(err)
	}
	return m
}

// errSlowScrape is the 503 of a scrape that took ten seconds, see
// docs/observability.md.
var errSlowScrape = errors.New("scrape: status 503")

// scrape is metrics where it may fail.
func (s *sidecar) scrape() (scrape, error) {
	s.w.Helper()
	status, body, err := s.get(s.host, "http://127.0.0.1:15090/stats/prometheus")
	if status == http.StatusServiceUnavailable {
		return nil, errSlowScrape
	}
	if err != nil {
		return nil, fmt.Errorf("scrape: %w", err)
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("scrape: status %d", status)
	}
	var all scrape
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		name, value, ok := cutLast(line, " ")
		if strings.HasPrefix(line, "#") || !ok {
			continue
		}
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("metrics line %q: %w", line, err)
		}
		family, labels, _ := strings.Cut(name, "{")
		all = append(all, sample{family, "{" + labels, number})
	}
	return all, nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// sum adds the values of a family's samples that have all the labels, each
// given as name="value".
func (m scrape) sum(family string, labels ...string) float64 {
	total := 0.0
next:
	for _, s := range m {
		if s.family != family {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(s.labels, label) {
				continue next
			}
		}
		total += s.value
	}
	return total
}

// ofCluster and ofListener make the labels that Envoy uses.
func ofCluster(name string) string {
	return fmt.Sprintf("envoy_cluster_name=%q", strings.ReplaceAll(name, ":", "_"))
}

func ofListener(address string) string {
	return fmt.Sprintf("envoy_listener_address=%q", strings.ReplaceAll(address, ":", "_"))
}

// waitMetric waits until a sum of samples is as wanted.
func (s *sidecar) waitMetric(want float64, family string, labels ...string) {
	s.w.Helper()
	testnet.Eventually(s.w, patience, func() error {
		if have := s.metrics().sum(family, labels...); have != want {
			return fmt.Errorf("%s%v is %v, want %v", family, labels, have, want)
		}
		return nil
	})
}

// get asks for a URL from a host, on a connection of its own.
func (s *sidecar) get(from *testnet.Host, url string) (status int, body string, err error) {
	s.w.Helper()
	return s.ask(from, http.MethodGet, url)
}

// ask is get by any method.
func (s *sidecar) ask(from *testnet.Host, method, url string) (status int, body string, err error) {
	s.w.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
			return from.DialFrom(&net.Dialer{Timeout: 5 * time.Second}, network, address)
		},
	}}
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// ready asks the readiness port.
func (s *sidecar) ready() (bool, error) {
	status, _, err := s.get(s.host, "http://127.0.0.1:15021/healthz/ready")
	return status == http.StatusOK, err
}

// admin asks the admin port.
func (s *sidecar) admin(path string) string {
	s.w.Helper()
	var status int
	var body string
	var err error
	s.w.eventually(func() error {
		if status, body, err = s.get(s.host, "http://127.0.0.1:15000"+path); errors.Is(err, syscall.EADDRNOTAVAIL) {
			return err // as in metrics
		}
		return nil
	})
	if err != nil || status != http.StatusOK {
		s.w.Fatalf("GET %s: status %d, %v", path, status, err)
	}
	return body
}
