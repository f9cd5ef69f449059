using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.OpenApi;
using NetdumpCollector.Collector.Dumps;
using NetdumpCollector.Collector.Http;
using NetdumpCollector.Collector.Http.Access;
using NetdumpCollector.Telemetry.Events;

namespace NetdumpCollector.Collector.Tests.Http;

/// <summary>The description of the API against the routes there are; its schemas are compared with real answers by the end-to-end tests.</summary>
public sealed class OpenApiTests
{
    private static readonly string s_text = ReadResource();

    [Fact]
    public void It_is_an_OpenAPI_document()
    {
        var (document, diagnostic) = OpenApiDocument.Parse(s_text, OpenApiConstants.Json);

        Assert.Empty(diagnostic!.Errors);
        Assert.Empty(diagnostic.Warnings);
        Assert.Equal(OpenApiSpecVersion.OpenApi3_1, diagnostic.SpecificationVersion);
        Assert.Empty(document!.Validate(ValidationRuleSet.GetDefaultRuleSet()));
    }

    [Fact]
    public async Task It_has_each_route_with_its_role_and_no_other()
    {
        using var document = JsonDocument.Parse(s_text);
        var described = document.RootElement.GetProperty("paths").EnumerateObject()
            .SelectMany(path => path.Value.EnumerateObject().Select(operation => $"{operation.Name.ToUpperInvariant()} {path.Name} {RoleOf(operation.Value)}"));

        await using var application = Map();
        var routes = ((IEndpointRouteBuilder)application).DataSources.SelectMany(source => source.Endpoints).Cast<RouteEndpoint>()
            .SelectMany(route => route.Metadata.GetMetadata<HttpMethodMetadata>()!.HttpMethods.Where(method => method != "HEAD")
                .Select(method => $"{method} {route.RoutePattern.RawText} {route.Metadata.GetMetadata<NeededAccess>()!.Role}"));

        string[] open = ["GET /healthz ", "GET /metrics ", "GET /readyz "];
        Assert.Equal(routes.Concat(open).Order(StringComparer.Ordinal), described.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void It_lists_what_dumps_are_asked_for_by()
    {
        using var document = JsonDocument.Parse(s_text);
        var parameters = document.RootElement.GetProperty("paths").GetProperty("/api/v1/dumps").GetProperty("get").GetProperty("parameters").EnumerateArray()
            .ToDictionary(parameter => parameter.GetProperty("name").GetString()!, parameter => parameter.GetProperty("schema"));

        Assert.Equal(DumpList.Statuses, parameters["status"].GetProperty("enum").EnumerateArray().Select(status => status.GetString()));
        Assert.Equal(DumpQuery.MaxLimit, parameters["limit"].GetProperty("maximum").GetInt32());
        foreach (var (name, schema) in parameters)
        {
            string value = schema.TryGetProperty("enum", out var values) ? values[0].GetString()! : schema.TryGetProperty("format", out _) ? "2026-11-21T03:00:00Z" : "1";
            Assert.True(DumpQuery.TryParse(new QueryCollection(new Dictionary<string, Microsoft.Extensions.Primitives.StringValues> { [name] = value }), out _, out string? problem), problem);
        }
    }

    [Theory]
    [InlineData("2026-11-21T03:00:00Z", true)]
    [InlineData("2026-11-21t03:00:00.1234567z", true)]
    [InlineData("2026-11-21T03:00:00+01:00", true)]
    [InlineData("2026-11-21 03:00:00Z", false)]
    [InlineData("2026-11-21T03:00:00", false)]
    [InlineData("2026-11-21T25:00:00Z", false)]
    [InlineData("2026-02-30T00:00:00Z", false)]
    [InlineData("2026-11-21T03:00:00Z\n", false)]
    [InlineData("1763694000", false)]
    [InlineData("", false)]
    public void Times_are_those_of_RFC_3339(string text, bool isTime) =>
        Assert.Equal(isTime, DumpQuery.TryParse(new QueryCollection(new Dictionary<string, Microsoft.Extensions.Primitives.StringValues> { ["since"] = text }), out _, out _));

    private static string RoleOf(JsonElement operation)
    {
        string description = operation.GetProperty("description").GetString()!;
        string security = operation.GetProperty("security").GetRawText();
        var role = Enum.GetValues<AccessRole>().Cast<AccessRole?>().FirstOrDefault(role => description.Contains($"Needs the role {AccessPolicy.NameOf(role!.Value)}.", StringComparison.Ordinal));
        Assert.Equal(role is not null, security.Contains("bearer", StringComparison.Ordinal));
        Assert.Equal(role is null, description.Contains("Open to everybody.", StringComparison.Ordinal));
        return $"{role}";
    }

    /// <summary>The routes of the API, which nobody asks.</summary>
    private static WebApplication Map()
    {
        var live = new LiveState([], TimeProvider.System);
        var catalog = new RecentCatalog("nowhere", TimeProvider.System);
        var finder = new DumpFinder(live, catalog, fleet: null);
        var work = new BlockingWork("test", 1, background: false);
        var rows = new SessionRows(live, fleet: null);
        var api = new ApiEndpoints(rows, finder, fleet: null, new(rows, new EventFeed(TimeProvider.System), node: null, "test", CancellationToken.None), new(finder, work, audit: null),
            new(finder, catalog, work, audit: null, new(TimeSpan.Zero), NullLogger.Instance), work);
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore();
        builder.Services.AddRoutingCore();
        var application = builder.Build();
        api.Map(application);
        return application;
    }

    private static string ReadResource()
    {
        using var reader = new StreamReader(typeof(ApiEndpoints).Assembly.GetManifestResourceStream("openapi.json")!);
        return reader.ReadToEnd();
    }
}
