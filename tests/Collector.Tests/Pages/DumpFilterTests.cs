using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;
using NetdumpCollector.Collector.Pages;
using NetdumpCollector.Collector.Pages.Components;

namespace NetdumpCollector.Collector.Tests.Pages;

public sealed class DumpFilterTests
{
    private static readonly DumpView s_dump = Rendering.Dump("web1.example.org", "Page fault at 0x18");

    [Theory]
    [InlineData("", true)]
    [InlineData("outcome=&host=&text=", true)]
    [InlineData("outcome=complete", true)]
    [InlineData("outcome=incomplete", false)]
    [InlineData("host=WEB1", true)]
    [InlineData("host=10.0.0", true)]
    [InlineData("host=web2", false)]
    [InlineData("text=page+FAULT", true)]
    [InlineData("text=vmcore.web1", true)]
    [InlineData("text=id-web1", true)]
    [InlineData("text=double", false)]
    [InlineData("panic=Page+fault+at+%3F", true)]
    [InlineData("panic=Page+fault+at+0x18", false)]
    [InlineData("outcome=complete&host=web&text=double", false)]
    public void It_finds_what_is_asked_for(string query, bool finds) => Assert.Equal(finds, Of(query).Matches(s_dump));

    [Fact]
    public void Its_address_leads_to_the_same_dumps()
    {
        var filter = new DumpFilter { Outcome = "complete", Host = "a&b", Text = "100 %", Panic = "\"<?>" };

        Assert.Equal(filter, Of(filter.ToAddress(page: 3)["/dumps?".Length..]));
        Assert.EndsWith("&page=3", filter.ToAddress(page: 3), StringComparison.Ordinal);
        Assert.Equal("/dumps", new DumpFilter().ToAddress());
        Assert.True(Of("page=7").IsNone);
    }

    [Fact]
    public async Task The_form_shows_what_was_asked_for_as_text()
    {
        string html = await Rendering.OfAsync<DumpFilterForm>((nameof(DumpFilterForm.Filter), new DumpFilter { Outcome = "damaged", Host = "\"><b>", Panic = "a?b" }));

        Assert.Contains("<option value=\"damaged\" selected>damaged</option>", html, StringComparison.Ordinal);
        Assert.Contains("value=\"&quot;&gt;&lt;b&gt;\"", html, StringComparison.Ordinal);
        Assert.Contains("<input type=\"hidden\" name=\"panic\" value=\"a?b\"", html, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", 1, 3)]
    [InlineData("page=2", 2, 3)]
    [InlineData("page=4", 3, 1)]
    [InlineData("page=0", 1, 3)]
    [InlineData("page=-1", 1, 3)]
    [InlineData("page=99999999999", 1, 3)]
    public void A_page_that_is_not_there_is_one_that_is(string query, int number, int rows)
    {
        var page = PageOf.Of(Enumerable.Range(0, 7).ToArray(), PageOf.NumberOf(Query(query)), 3);

        Assert.Equal((number, 3, 7, rows), (page.Number, page.Pages, page.Total, page.Rows.Count));
    }

    [Fact]
    public void An_empty_list_has_one_page() => Assert.Equal((1, 1, 0), PageOf.Of(Array.Empty<int>(), 5, 3) is var page ? (page.Number, page.Pages, page.Total) : default);

    private static DumpFilter Of(string query) => DumpFilter.Of(Query(query));

    private static QueryCollection Query(string query) => new(QueryHelpers.ParseQuery(query));
}
