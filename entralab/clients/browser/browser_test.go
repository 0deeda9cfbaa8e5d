// Package browser opens the lab's pages in Chromium, as a person would.
package browser

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/credsmith/credsmith/entralab"
)

// open starts Chromium and reports what its console complains of.
func open(t *testing.T) context.Context {
	t.Helper()
	name := ""
	for _, known := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(known); err == nil {
			name = path
			break
		}
	}
	if name == "" {
		t.Fatal("Chromium is not installed: run ./test, or install it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(name), chromedp.NoSandbox, chromedp.WindowSize(1200, 900),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *log.EventEntryAdded:
			if !strings.HasSuffix(e.Entry.URL, "/favicon.ico") {
				t.Errorf("the console says: %s (%s)", e.Entry.Text, e.Entry.URL)
			}
		case *runtime.EventExceptionThrown:
			t.Errorf("an exception: %s", e.ExceptionDetails.Text)
		}
	})
	do(t, ctx, log.Enable())
	return ctx
}

func do(t *testing.T, ctx context.Context, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// picture keeps a screenshot of the page when PICTURES names a directory.
func picture(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("PICTURES")
	if dir == "" {
		return
	}
	var png []byte
	do(t, ctx, chromedp.FullScreenshot(&png, 100))
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// click presses the button with this text and waits for the next page.
func click(text string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := chromedp.RunResponse(ctx, chromedp.Click(`//button[normalize-space()="`+text+`"]`, chromedp.BySearch))
		return err
	})
}

func text(into *string) chromedp.Action { return chromedp.Text("main", into, chromedp.ByQuery) }

// TestPortal walks through a secret's life in the portal.
func TestPortal(t *testing.T) {
	t.Parallel()
	lab := entralab.New(t)
	app, err := lab.AddApp(entralab.AppSpec{DisplayName: "shipping-api", Permissions: []string{"User.Read.All"}, Secrets: []entralab.SecretSpec{{DisplayName: "prod-2026"}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx := open(t)
	var page, value string
	do(t, ctx, chromedp.Navigate(lab.ControlURL()), text(&page))
	if !strings.Contains(page, "shipping-api") || !strings.Contains(page, "1 valid") {
		t.Errorf("the list does not show the app:\n%s", page)
	}
	picture(t, ctx, "lab-apps")
	do(t, ctx,
		chromedp.Click(`//a[text()="shipping-api"]`, chromedp.BySearch), chromedp.WaitVisible(`input[name="display_name"]`, chromedp.ByQuery),
		chromedp.SendKeys(`form[action$="/add-secret"] input[name="display_name"]`, "from the browser", chromedp.ByQuery),
		click("New client secret"), chromedp.Text("#value", &value, chromedp.ByQuery),
	)
	picture(t, ctx, "lab-new-secret")
	if status := signIn(t, lab, app.ClientID, value); status != http.StatusOK {
		t.Errorf("the value on the page does not sign in: %d", status)
	}
	if status := signIn(t, lab, app.ClientID, app.Secrets[0].KeyID); status != http.StatusUnauthorized {
		t.Errorf("a Secret ID signs in: %d", status)
	}
	do(t, ctx, chromedp.Navigate(lab.ControlURL()+"/portal/apps/"+app.ObjectID), text(&page))
	if strings.Contains(page, value) || !strings.Contains(page, "from the browser") {
		t.Errorf("read again, the page must show the secret without its value:\n%s", page)
	}
	do(t, ctx, click("Delete"), text(&page))
	if strings.Contains(page, "prod-2026") {
		t.Errorf("the first secret is still there:\n%s", page)
	}
	do(t, ctx, chromedp.Navigate(lab.ControlURL()+"/portal/sign-ins"), text(&page))
	if !strings.Contains(page, "AADSTS7000215") || !strings.Contains(page, "Success") {
		t.Errorf("the sign-in log:\n%s", page)
	}
	picture(t, ctx, "lab-sign-ins")
	do(t, ctx, chromedp.Navigate(lab.ControlURL()+"/portal/audit"), text(&page))
	if !regexp.MustCompile(`Certificates and secrets management\s+shipping-api`).MatchString(page) {
		t.Errorf("the audit log:\n%s", page)
	}
	picture(t, ctx, "lab-audit")
	do(t, ctx, chromedp.Navigate(lab.ControlURL()+"/portal/faults"), chromedp.SetValue(`select[name="fault"]`, "F7", chromedp.ByQuery),
		chromedp.SetValue(`select[name="surface"]`, "token", chromedp.ByQuery), click("Add"), text(&page))
	if status := signIn(t, lab, app.ClientID, value); !strings.Contains(page, "F7: server error") || status < 500 {
		t.Errorf("with a fault for every token request: %d\n%s", status, page)
	}
	picture(t, ctx, "lab-faults")
	do(t, ctx, click("Remove all"), text(&page))
	if !strings.Contains(page, "Nothing goes wrong.") {
		t.Errorf("all rules were removed:\n%s", page)
	}
	before := lab.Now()
	do(t, ctx, chromedp.Navigate(lab.ControlURL()+"/portal/time"), chromedp.SendKeys(`input[name="advance"]`, "800d", chromedp.ByQuery), click("Advance"),
		chromedp.Navigate(lab.ControlURL()+"/portal/apps/"+app.ObjectID), text(&page))
	if lab.Now().Sub(before) < 800*24*time.Hour || !strings.Contains(page, "expired") {
		t.Errorf("after 800 days the secret must have expired:\n%s", page)
	}
	picture(t, ctx, "lab-expired")
}

func signIn(t *testing.T, lab *entralab.Lab, clientID, secret string) int {
	t.Helper()
	form := map[string][]string{
		"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {secret}, "scope": {"https://graph.microsoft.com/.default"},
	}
	resp, err := lab.Client().PostForm(lab.AuthorityURL()+"/"+lab.TenantID()+"/oauth2/v2.0/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
