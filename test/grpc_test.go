package test

import (
	"net/http"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// serveGRPCHealth is grpc.health.v1.Health of a server that serves ratings and
// not reviews, over HTTP/2 without TLS, until the test ends.
func serveGRPCHealth(w *world, h *testnet.Host, address string) {
	w.Helper()
	const serving, notServing = 1, 2
	servePages(w, h, address, func(answer http.ResponseWriter, r *http.Request) {
		request := make([]byte, 128)
		n, _ := r.Body.Read(request) // a short one is a service that nobody knows
		answer.Header().Set("Content-Type", "application/grpc")
		answer.Header().Set("Trailer", "Grpc-Status")
		status, known := map[string]byte{"": serving, "ratings": serving, "reviews": notServing}[serviceOf(request[:n])]
		if r.ProtoMajor != 2 || r.URL.Path != "/grpc.health.v1.Health/Check" || !known {
			answer.Header().Set("Grpc-Status", "5") // NOT_FOUND
			return
		}
		// HealthCheckResponse with field 1, the status, behind gRPC's prefix of
		// five bytes.
		_, _ = answer.Write([]byte{0, 0, 0, 0, 2, 1 << 3, status})
		answer.Header().Set("Grpc-Status", "0")
	})
}

// serviceOf reads HealthCheckRequest: field 1 is the service, "" is left out.
func serviceOf(request []byte) string {
	const prefix, tag = 5, 1<<3 | 2
	if len(request) == prefix {
		return ""
	}
	if len(request) < prefix+2 || request[prefix] != tag || int(request[prefix+1]) != len(request)-prefix-2 {
		return "garbage"
	}
	return string(request[prefix+2:])
}
