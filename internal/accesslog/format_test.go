package accesslog

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sluiceproxy/sluice/config"
)

// contractKeys are the JSON keys in the order that users were promised; keys
// that were added come after them.
var contractKeys = []string{
	"start_time", "connection_id", "listener", "direction", "filter_chain", "downstream_remote_address",
	"downstream_direct_remote_address", "downstream_local_address", "upstream_cluster", "upstream_host",
	"upstream_local_address", "upstream_locality", "requested_server_name", "transport_protocol",
	"application_protocol", "bytes_received", "bytes_sent", "duration_ms", "connect_ms", "connect_attempts",
	"response_flags", "closed_by", "close_reason", "errno", "upstream_transport_failure_reason", "engine",
}

func line(t *testing.T, format string, r *Record) string {
	t.Helper()
	f, err := CompileFormat(format)
	if err != nil {
		t.Fatal(err)
	}
	return string(f.Append(nil, config.LogEnd, r))
}

func TestLines(t *testing.T) {
	type lineCase struct {
		name, format string
		record       *Record
		want         string
	}
	for _, c := range []lineCase{
		{"json", "json", ended(), `{"start_time":"2026-07-04T11:05:09.310Z","connection_id":42,"listener":"virtualOutbound","direction":"outbound",` +
			`"filter_chain":"outbound|9080||","downstream_remote_address":"10.4.0.9:40312","downstream_direct_remote_address":"10.4.0.9:40312",` +
			`"downstream_local_address":"10.96.7.1:9080","upstream_cluster":"outbound|9080||ratings","upstream_host":"[fd00:4::12]:9080",` +
			`"upstream_local_address":"127.0.0.6:51000","upstream_locality":"us-west2/us-west2-a","requested_server_name":"a.example",` +
			`"transport_protocol":"tls","application_protocol":"h2","bytes_received":1024,"bytes_sent":9007199254740992,"duration_ms":1500,` +
			`"connect_ms":0,"connect_attempts":2,"response_flags":"DT","closed_by":"proxy","close_reason":"max_duration","errno":null,` +
			`"upstream_transport_failure_reason":null,"engine":"splice","connection_termination_details":null,"rbac_log_policy":null,"access_log_type":"TcpConnectionEnd"}` + "\n"},
		{"json, refused", "json", refused(), `{"start_time":"2026-07-04T11:05:09.000Z","connection_id":43,"listener":"virtualOutbound","direction":null,` +
			`"filter_chain":null,"downstream_remote_address":"10.4.0.9:40312","downstream_direct_remote_address":null,` +
			`"downstream_local_address":null,"upstream_cluster":null,"upstream_host":null,` +
			`"upstream_local_address":null,"upstream_locality":null,"requested_server_name":null,` +
			`"transport_protocol":null,"application_protocol":null,"bytes_received":0,"bytes_sent":0,"duration_ms":0,` +
			`"connect_ms":null,"connect_attempts":1,"response_flags":"UF,URX","closed_by":"proxy","close_reason":"connect_failed","errno":"ECONNREFUSED",` +
			`"upstream_transport_failure_reason":"delayed connect error: 111","engine":null,"connection_termination_details":"no more endpoints","rbac_log_policy":null,"access_log_type":"TcpConnectionEnd"}` + "\n"},
		{"Istio's text", "text", ended(), `[2026-07-04T11:05:09.310Z] "- - -" 0 DT - - "-" 1024 9007199254740992 1500 - "-" "-" "-" "-" ` +
			`"[fd00:4::12]:9080" outbound|9080||ratings 127.0.0.6:51000 10.96.7.1:9080 10.4.0.9:40312 a.example -` + "\n"},
		{"Istio's text, refused", "text", refused(), `[2026-07-04T11:05:09.000Z] "- - -" 0 UF,URX - no_more_endpoints "delayed_connect_error:_111" 0 0 0 - "-" "-" "-" "-" ` +
			`"-" - - - 10.4.0.9:40312 - -` + "\n"},
		{"fingerprints", "%JA3% %TLS_JA3_FINGERPRINT% %JA4% %TLS_JA4_FINGERPRINT:4%", inspected(),
			"e7d705a3286e19ea42f587b344ee6865 e7d705a3286e19ea42f587b344ee6865 t13d1516h2_8daaf6152771_e5627efa2ab1 t13d\n"},
		{"TLVs", "%PROXY_PROTOCOL_AUTHORITY% %PROXY_PROTOCOL_UNIQUE_ID%", inspected(), `a\x20b 0x00ff` + "\n"},
		{"neither", "%JA3% %JA4% %PROXY_PROTOCOL_AUTHORITY% %PROXY_PROTOCOL_UNIQUE_ID%", ended(), "- - - -\n"},
		{"addresses", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_DIRECT_REMOTE_PORT% %UPSTREAM_HOST% %UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", ended(),
			"10.4.0.9 40312 [fd00:4::12]:9080 fd00:4::12\n"},
		{"ours", "%CLOSED_BY% %CLOSE_REASON% %ENGINE% %ERRNO% %CONNECT_ATTEMPTS% %CONNECT_MS% %ACCESS_LOG_TYPE%", refused(),
			"proxy connect_failed - ECONNREFUSED 1 - TcpConnectionEnd\n"},
		{"start time", "%START_TIME(%Y/%m/%dT%H:%M:%S%z %s.%3f %9f 100%%)%", ended(), "2026/07/04T11:05:09+0000 1783163109.310 310456789 100%\n"},
		{"length", "%UPSTREAM_CLUSTER:8%|%REQ(X):3%|%DURATION:99%", ended(), "outbound|-|1500\n"},
		{"percent sign, own newline", "100%% %DURATION%\n", ended(), "100% 1500\n"},
		{"long flags", "%RESPONSE_FLAGS_LONG%", refused(), "UpstreamConnectionFailure,UpstreamRetryLimitExceeded\n"},
	} {
		if got := line(t, c.format, c.record); got != c.want {
			t.Errorf("%s:\ngot  %swant %s", c.name, got, c.want)
		}
	}
}

// What few connections have stands behind the rest.
func TestJSONOfInspected(t *testing.T) {
	plain := line(t, "json", ended())
	want := strings.TrimSuffix(plain, "}\n") + `,"ja3":"e7d705a3286e19ea42f587b344ee6865","ja4":"t13d1516h2_8daaf6152771_e5627efa2ab1",` +
		`"proxy_protocol_authority":"a b","proxy_protocol_unique_id":"0x00ff"}` + "\n"
	if got := line(t, "json", inspected()); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

// One value, one form, one field, in either format.
func TestOpaque(t *testing.T) {
	type opaqueCase struct{ name, value, want string }
	for _, c := range []opaqueCase{
		{"text", "a1b2:c3", "a1b2:c3"},
		{"one byte", "0", "0"},
		{"space", "a b", "0x612062"},
		{"quote", `"`, "0x22"},
		{"not ASCII", "ü", "0xc3bc"},
		{"looks like hexadecimal", "0x00ff", "0x307830306666"},
		{"whole length", strings.Repeat("\xff", 128), "0x" + strings.Repeat("ff", 128)},
	} {
		r := ended()
		r.ProxyUniqueID = c.value
		if got := line(t, "%PROXY_PROTOCOL_UNIQUE_ID%", r); got != c.want+"\n" {
			t.Errorf("%s in text: %q, want %q", c.name, got, c.want)
		}
		if got := line(t, "json", r); !strings.Contains(got, `"proxy_protocol_unique_id":"`+c.want+`"`) {
			t.Errorf("%s in JSON: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestJSONKeysInOrder(t *testing.T) {
	got := line(t, "json", ended())
	at := 0
	for _, key := range contractKeys {
		next := strings.Index(got[at:], `"`+key+`":`)
		if next < 0 {
			t.Fatalf("%s is missing or out of order in %s", key, got)
		}
		at += next
	}
}

// Whatever is in JSON can be had in a text line, by the key in capitals.
func TestEveryJSONKeyHasAnOperator(t *testing.T) {
	var object map[string]any
	if err := json.Unmarshal([]byte(line(t, "json", inspected())), &object); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	for key := range object {
		if err := CheckFormat("%" + strings.ToUpper(key) + "%"); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		if !strings.Contains(string(page), "`"+key+"`") {
			t.Errorf("docs/observability.md does not explain `%s`", key)
		}
	}
}

func TestEveryOperatorIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range operators() {
		if !strings.Contains(string(page), "`%"+name+"%`") {
			t.Errorf("docs/observability.md does not explain `%%%s%%`", name)
		}
	}
}

func TestBadFormats(t *testing.T) {
	type badCase struct{ format, says string }
	for _, c := range []badCase{
		{"", "no %OPERATOR%"},
		{"jsn", "give json, text"},
		{"100%%", "no %OPERATOR%"},
		{"%DURATION", "not closed"},
		{"%REQ(x", "closing parenthesis"},
		{"%REQ(x)", "not closed"},
		{"%NONSENSE%", "UPSTREAM_TRANSPORT_FAILURE_REASON"},
		{"%NONSENSE(x)%", "unknown operator %NONSENSE%"},
		{"%DURATION(x)%", "takes no argument"},
		{"%DURATION:x%", "LENGTH"},
		{"%DURATION:0%", "LENGTH"},
		{"%REQ(x)y%", "LENGTH"},
		{"%START_TIME(%Q)%", "%Q is not supported"},
		{"%START_TIME(%)%", "nothing after"},
	} {
		if err := CheckFormat(c.format); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: error %v, want one with %q", c.format, err, c.says)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("POD_NAME", "reviews 1")
	if got := line(t, "%ENVIRONMENT(POD_NAME)% %ENVIRONMENT(NOT_SET)%", ended()); got != `reviews\x201 -`+"\n" {
		t.Errorf("got %q", got)
	}
}

// A client must not be able to write a line, or a field, of its own.
func TestClientTextCannotForge(t *testing.T) {
	type forgeCase struct{ name, text, inText, inJSON string }
	for _, c := range []forgeCase{
		{"newline", "a\nb", `a\x0ab`, "a\\u000ab"},
		{"quote", `a"b`, `a\x22b`, `a\"b`},
		{"space", "a b", `a\x20b`, "a b"},
		{"backslash", `a\b`, `a\x5cb`, `a\\b`},
		{"not UTF-8", "a\xffb", `a\xffb`, "a\uFFFDb"},
		{"terminal escape", "\x1b[2J", `\x1b[2J`, "\\u001b[2J"},
		{"delete", "\x7f", `\x7f`, "\\u007f"},
		{"right-to-left override", "\u202e", `\xe2\x80\xae`, "\\u202e"},
		{"line separator", "\u2028", `\xe2\x80\xa8`, "\\u2028"},
		{"letters", "bücher.example", "bücher.example", "bücher.example"},
		{"replacement character", "\uFFFD", "\uFFFD", "\uFFFD"},
		{"too long", strings.Repeat("x", 300), strings.Repeat("x", 255), strings.Repeat("x", 255)},
		{"cut inside a letter", strings.Repeat("x", 254) + "üü", strings.Repeat("x", 254), strings.Repeat("x", 254)},
	} {
		r := ended()
		r.RequestedServerName, r.ApplicationProtocol, r.ProxyAuthority = c.text, c.text, c.text
		if got := line(t, "%REQUESTED_SERVER_NAME% %APPLICATION_PROTOCOL% %PROXY_PROTOCOL_AUTHORITY%", r); got != c.inText+" "+c.inText+" "+c.inText+"\n" {
			t.Errorf("%s in text: %q, want three times %q", c.name, got, c.inText)
		}
		for _, key := range []string{"requested_server_name", "application_protocol", "proxy_protocol_authority"} {
			if got := line(t, "json", r); !strings.Contains(got, `"`+key+`":"`+c.inJSON+`"`) {
				t.Errorf("%s in JSON: %s, want %s", c.name, got, c.inJSON)
			}
		}
	}
}

func TestNames(t *testing.T) {
	all := Flags(1<<len(flagNames) - 1)
	type nameCase struct{ got, want string }
	for _, c := range []nameCase{
		{Flags(0).String(), "-"},
		{NoHealthyUpstream.String(), "UH"},
		{NoClusterFound.String(), "NC"},
		{(UpstreamConnectionFailure | UpstreamRetryLimitExceeded).String(), "UF,URX"},
		{all.String(), "UH,UF,UO,NR,DC,URX,SI,DT,NC"},
		{Drained.String(), "drain"},
		{InternalError.String(), "internal_error"},
		{CloseReason(99).String(), "unknown"},
		{ByUpstream.String(), "upstream"},
		{ByNobody.String(), ""},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	for reason := Fin; reason <= InternalError; reason++ {
		if reason.String() == "" {
			t.Errorf("close reason %d has no name", reason)
		}
	}
}

func FuzzCompileFormat(f *testing.F) {
	for _, seed := range []string{"json", "text", istioText, "%START_TIME(%s.%3f)% %%", "%REQ(A?B):9%", "%DURATION", "%(:%", "x"} {
		f.Add(seed)
	}
	record := ended()
	f.Fuzz(func(t *testing.T, text string) {
		format, err := CompileFormat(text)
		if (format == nil) == (err == nil) {
			t.Fatalf("format %v and error %v", format, err)
		}
		if err == nil && !strings.HasSuffix(string(format.Append(nil, config.LogEnd, record)), "\n") {
			t.Fatal("a line without an end")
		}
	})
}

func FuzzEscaping(f *testing.F) {
	f.Add("a\n\"b", "\xff\u2028")
	f.Add(strings.Repeat("ü", 200), "\U000e0001")
	f.Fuzz(func(t *testing.T, name, protocol string) {
		r := ended()
		r.RequestedServerName, r.ApplicationProtocol, r.UpstreamFailure = name, protocol, name
		r.ProxyAuthority, r.ProxyUniqueID = name, protocol
		asJSON := line(t, "json", r)
		if !json.Valid([]byte(asJSON)) || strings.Count(asJSON, "\n") != 1 || !utf8.ValidString(asJSON) {
			t.Fatalf("not one line of JSON: %q", asJSON)
		}
		asText := line(t, "%REQUESTED_SERVER_NAME% %APPLICATION_PROTOCOL% %UPSTREAM_TRANSPORT_FAILURE_REASON% %PROXY_PROTOCOL_AUTHORITY% %PROXY_PROTOCOL_UNIQUE_ID%", r)
		if strings.Count(asText, "\n") != 1 || strings.Count(asText, " ") != 4 || !utf8.ValidString(asText) {
			t.Fatalf("not one line of five fields: %q", asText)
		}
	})
}
