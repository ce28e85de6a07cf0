package accesslog

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/testnet"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// ended is a record of a connection that went through all of its life.
func ended() *Record {
	return &Record{
		ConnectionID: 42, Start: time.Date(2026, 7, 4, 13, 5, 9, 310_456_789, time.FixedZone("", 7200)),
		Listener: "virtualOutbound", Direction: "outbound", FilterChain: "outbound|9080||",
		DownstreamRemote:       netip.MustParseAddrPort("10.4.0.9:40312"),
		DownstreamDirectRemote: netip.MustParseAddrPort("[::ffff:10.4.0.9]:40312"),
		DownstreamLocal:        netip.MustParseAddrPort("10.96.7.1:9080"),
		UpstreamCluster:        "outbound|9080||ratings", UpstreamHost: netip.MustParseAddrPort("[fd00:4::12]:9080"),
		UpstreamLocal: netip.MustParseAddrPort("127.0.0.6:51000"), UpstreamLocality: "us-west2/us-west2-a",
		RequestedServerName: "a.example", TransportProtocol: "tls", ApplicationProtocol: "h2",
		BytesReceived: 1024, BytesSent: 1 << 53, Duration: 1500 * time.Millisecond, Connect: 900 * time.Microsecond, ConnectAttempts: 2,
		Flags: DurationTimeout, ClosedBy: ByProxy, CloseReason: MaxDuration, Engine: "splice",
	}
}

// inspected is ended with what a ClientHello and a PROXY header told beside.
func inspected() *Record {
	r := ended()
	r.JA3, r.JA4 = "e7d705a3286e19ea42f587b344ee6865", "t13d1516h2_8daaf6152771_e5627efa2ab1"
	r.ProxyAuthority, r.ProxyUniqueID = "a b", "\x00\xff"
	return r
}

// refused is a record of a connection that never reached an upstream.
func refused() *Record {
	return &Record{
		ConnectionID: 43, Start: time.Date(2026, 7, 4, 11, 5, 9, 0, time.UTC), Listener: "virtualOutbound",
		DownstreamRemote: netip.MustParseAddrPort("10.4.0.9:40312"), ConnectAttempts: 1,
		Flags: UpstreamConnectionFailure | UpstreamRetryLimitExceeded, ClosedBy: ByProxy, CloseReason: ConnectFailed,
		Errno: "ECONNREFUSED", UpstreamFailure: "delayed connect error: 111", TerminationDetails: "no more endpoints",
	}
}

// target is an access log that reports ends at path.
func target(path, format string) config.AccessLog {
	return config.AccessLog{Path: path, Format: format, LogOn: []config.LogEvent{config.LogEnd}, FlushInterval: time.Millisecond}
}

// newTestFiles makes Files that are closed with the test, and the log of
// their trouble.
func newTestFiles(t testing.TB) (*Files, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.WarnLevel)
	files := NewFiles(zap.New(core))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		_ = files.Close(ctx)
	})
	return files, logs
}

func newTestLogger(t testing.TB, files *Files, logs ...config.AccessLog) *Logger {
	t.Helper()
	logger, err := files.Logger(logs)
	if err != nil {
		t.Fatal(err)
	}
	return logger
}

func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	testnet.Eventually(t, time.Minute, func() error {
		if !condition() {
			return errors.New(what)
		}
		return nil
	})
}

func content(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(data)
}

// waitContent waits until the file holds exactly want.
func waitContent(t *testing.T, path, want string) {
	t.Helper()
	testnet.Eventually(t, time.Minute, func() error {
		if got := content(path); got != want {
			return fmt.Errorf("%s holds %q, want %q", filepath.Base(path), got, want)
		}
		return nil
	})
}

func lines(s string) []string { return strings.Split(strings.TrimSuffix(s, "\n"), "\n") }
