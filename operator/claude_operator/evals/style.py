"""The style of the page that shows a report: light and dark, narrow and wide, screen and paper."""

STYLE = """
:root{--back:#fff;--text:#1f2328;--soft:#59636e;--line:#d1d9e0;--box:#f6f8fa;
--good:#116329;--bad:#b3261e;--open:#7d4e00;--ins:#dafbe1;--del:#ffe2e0}
@media (prefers-color-scheme:dark){:root{--back:#0d1117;--text:#e6edf3;--soft:#9198a1;--line:#3d444d;--box:#151b23;
--good:#56d364;--bad:#ff7b72;--open:#e3b341;--ins:#12361c;--del:#4b1513}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--back);color:var(--text);font:16px/1.5 system-ui,sans-serif}
main{max-width:76rem;margin:0 auto;padding:1rem}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2rem}h3{font-size:1rem;margin:0 0 .5rem}h4{font-size:.9rem;margin:0}
h1,h3,p,blockquote{overflow-wrap:anywhere}
th,td{overflow-wrap:break-word;max-width:28rem}
a{color:inherit}
.soft{color:var(--soft);font-size:.875rem}.note{border-left:4px solid var(--open);padding-left:.75rem}
.verdict{font-size:1.05rem}
.good{color:var(--good)}.bad{color:var(--bad)}.open{color:var(--open)}
.badge{border:1px solid currentColor;border-radius:1rem;padding:.1rem .6rem;font-size:.8em}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{text-align:start;vertical-align:top;padding:.3rem .9rem .3rem 0;
border-bottom:1px solid var(--line);min-width:4rem}
tbody th{font-weight:400}
svg{display:block}.beyond{fill:var(--del)}.zero{stroke:var(--soft);stroke-dasharray:3 2}
.span{stroke:currentColor;stroke-width:2}circle{fill:currentColor}
article{border:1px solid var(--line);border-radius:.5rem;padding:1rem;margin:1rem 0}
blockquote{margin:0 0 .75rem;padding-left:.75rem;border-left:3px solid var(--line);white-space:pre-wrap}
.sides{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(22rem,100%),1fr));gap:1rem}
.why{margin:.25rem 0;font-size:.9rem}
pre{margin:.5rem 0 0;padding:.75rem;background:var(--box);border-radius:.375rem;white-space:pre-wrap;
overflow-wrap:anywhere;font:.875rem/1.45 ui-monospace,monospace;unicode-bidi:isolate}
ins{background:var(--ins);text-decoration:none}del{background:var(--del);text-decoration:none}
@media print{:root{--back:#fff;--text:#000;--soft:#444;--line:#999;--box:#fff;--good:#0a4a1c;
--bad:#8c1d18;--open:#5c3a00;--ins:#e6e6e6;--del:#e6e6e6}body{font-size:10pt}main{max-width:none;padding:0}.wide{overflow:visible}
h2,h3,h4{break-after:avoid}tr{break-inside:avoid}pre{border:1px solid var(--line)}ins{text-decoration:underline}
del{text-decoration:line-through}}
"""
