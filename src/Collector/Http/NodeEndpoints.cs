using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using NetdumpCollector.Collector.Fleet;
using NetdumpCollector.Collector.Http.Access;

namespace NetdumpCollector.Collector.Http;

/// <summary>The nodes of the fleet for programs, and whether the catalogue answers.</summary>
internal sealed class NodeEndpoints(FleetView? fleet)
{
    private static readonly string[] s_read = [HttpMethods.Get, HttpMethods.Head];

    public void Map(IEndpointRouteBuilder routes) => routes.MapMethods("/api/v1/nodes", s_read, WriteAsync).Needs(AccessRole.View);

    private Task WriteAsync(HttpContext context)
    {
        string? notice = fleet?.Notice;
        string catalogue = fleet is null ? "off" : notice is null ? "up" : "down";
        return ApiEndpoints.WriteAsync(context, StatusCodes.Status200OK, new { node = fleet?.Node, catalogue, notice, problem = notice is null ? null : fleet?.Problem, nodes = fleet?.Nodes ?? [] });
    }
}
