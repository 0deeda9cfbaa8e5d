package aadsts

import (
	"fmt"
	"strings"
	"testing"
)

// logText returns about n bytes of log lines. When hit is not "", one stands in
// every ten KiB.
func logText(n int, hit string) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		switch {
		case hit != "" && i%80 == 79:
			b.WriteString(hit)
		case i%2 == 0:
			fmt.Fprintf(&b, "2026-01-02T03:%02d:%02d.123Z INFO [http-nio-8080-exec-%d] c.e.orders.OrderService - Access denied, tenant STATUS cached %d\n", i/60%60, i%60, i%200, i)
		default:
			fmt.Fprintf(&b, `{"ts":"2026-01-02T03:%02d:%02d.123Z","level":"info","msg":"batch finished for session","request_id":"0f8fad5b-d9cb-469f-a165-70867728950e","duration_ms":%d}`+"\n", i/60%60, i%60, i)
		}
	}
	return b.String()
}

const hitLine = `2026-01-02T03:04:05Z ERROR adal: Status Code = '401'. Response body: {"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '03146f14-24fa-4cde-8455-537c6ff06a55'. Trace ID: 4d2d9295-f94e-430b-95a6-030b76c95900 Correlation ID: 1fb1be83-8f31-4946-976d-28fc8ae4e69f Timestamp: 2026-01-02 03:04:05Z","error_codes":[7000215],"timestamp":"2026-01-02 03:04:05Z","trace_id":"4d2d9295-f94e-430b-95a6-030b76c95900","correlation_id":"1fb1be83-8f31-4946-976d-28fc8ae4e69f","error_uri":"https://login.microsoftonline.com/error?code=7000215"}` + "\n"

func BenchmarkFind(b *testing.B) {
	for name, hit := range map[string]string{"none": "", "one-in-10KiB": hitLine} {
		b.Run(name, func(b *testing.B) {
			text := []byte(logText(8<<20, hit))
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				for range Find(text) {
				}
			}
		})
	}
}
