//! How the page looks.

pub(super) const STYLE: &str = "
*{box-sizing:border-box;margin:0}
body{display:flex;min-height:100vh;font:15px/1.5 system-ui,'Segoe UI',Roboto,'Noto Sans',sans-serif;color:#1f2328;background:#fff}
nav{width:240px;flex:none;padding:20px 12px;background:#f6f5f8;border-right:1px solid #e6e3ea}
nav .team{padding:0 10px 14px;font-weight:700}
nav .team span{display:block;font-size:12px;font-weight:400;color:#77727f}
nav a{display:flex;justify-content:space-between;gap:8px;padding:5px 10px;border-radius:6px;color:#3b3641;text-decoration:none}
nav a:hover{background:#ece9f0}
nav a.current{background:#e2dcec;font-weight:600}
nav .count{font-size:12px;color:#77727f;font-weight:400}
main{flex:1;min-width:0;padding:20px 32px 60px;max-width:900px}
section{margin-bottom:36px}
h1{font-size:17px;padding-bottom:10px;margin-bottom:6px;border-bottom:1px solid #e6e3ea}
h1 span{margin-left:10px;font-size:12px;font-weight:400;color:#77727f}
h2{font-size:16px;line-height:1.35;margin:2px 0 4px}
article{display:flex;gap:12px;padding:10px 0}
.reply{margin-left:48px;padding-left:14px;border-left:2px solid #e6e3ea}
.avatar{flex:none;width:36px;height:36px;border-radius:8px;background:#c9d6e8;color:#33507a;font-weight:700;text-align:center;line-height:36px}
.avatar.bot{background:#d9cfe8;color:#573a86}
.content{flex:1;min-width:0;overflow-wrap:anywhere}
.who{display:flex;align-items:baseline;gap:8px}
.who time,.who span{font-size:12px;color:#77727f}
.who .app{padding:0 4px;border-radius:3px;background:#eceaf0;font-size:10px;font-weight:600;letter-spacing:.04em}
.section{display:flex;justify-content:space-between;gap:16px;margin:4px 0}
.section>div{flex:1;min-width:0}
.fields{display:grid;grid-template-columns:1fr 1fr;gap:8px 24px;max-width:620px}
.context{display:flex;flex-wrap:wrap;gap:4px 12px;margin:4px 0;font-size:13px;color:#66616e}
.actions{display:flex;flex-wrap:wrap;gap:8px;margin:8px 0 4px}
.button{padding:4px 12px;border:1px solid #c9c4d1;border-radius:6px;font-size:13px;font-weight:600;white-space:nowrap;align-self:flex-start}
.button.primary{background:#1c7a5a;border-color:#1c7a5a;color:#fff}
.button.danger{border-color:#c2334d;color:#c2334d}
.mention{padding:0 2px;border-radius:3px;background:#e8f1fb;color:#1a5fa8}
.unknown,.empty{color:#77727f;font-size:13px}
a{color:#1a5fa8}
hr{border:0;border-top:1px solid #e6e3ea;margin:8px 0}
code{padding:0 4px;border:1px solid #e6e3ea;border-radius:4px;background:#f8f7fa;font-size:13px}
pre{padding:8px 10px;border:1px solid #e6e3ea;border-radius:6px;background:#f8f7fa;font-size:13px;white-space:pre-wrap}
blockquote{padding-left:10px;border-left:3px solid #d8d4de;color:#55505c}
table{margin:6px 0;border-collapse:collapse;font-size:14px}
td{padding:4px 12px;border:1px solid #e0dde5}
tr:first-child td{background:#f8f7fa;font-weight:600}
.you{padding:10px 10px 4px;font-size:12px;color:#77727f}
nav a.person::before{content:'';width:8px;height:8px;margin:auto 0;border-radius:50%;background:#c9c4d1}
nav a.person{justify-content:flex-start}
nav a.person.current::before{background:#1c7a5a}
.note,.banner{font-size:13px;color:#66616e}
.banner{margin-bottom:16px;padding:8px 12px;border-radius:6px;background:#fff6e5;color:#7a4b00}
.trouble{font-size:13px;color:#b3261e}
button{font:inherit;cursor:pointer}
button.button{background:#fff;color:inherit}
button.button.primary{background:#1c7a5a;color:#fff}
button.button.danger{background:#fff;color:#c2334d}
.ephemeral{margin:0 -10px;padding:10px;border-radius:8px;background:#f8f7fa}
.reactions{display:flex;flex-wrap:wrap;gap:6px;margin-top:4px}
.reactions button{padding:0 8px;border:1px solid #dcd8e2;border-radius:12px;background:#f6f5f8;font-size:13px;line-height:22px}
.reactions button.mine{border-color:#1a5fa8;background:#e8f1fb}
.reactions .add{display:flex;gap:2px;opacity:.35}
article:hover .add{opacity:1}
.reactions .add button{border-color:transparent;background:none;padding:0 3px}
.input{display:block;margin:8px 0;max-width:520px}
.input b,.input small{display:block;font-size:13px}
.input small{color:#77727f}
input[type=text],textarea,select{width:100%;padding:6px 10px;border:1px solid #c9c4d1;border-radius:6px;font:inherit;background:#fff}
textarea{min-height:84px}
.modal a.button{color:inherit;text-decoration:none}
button:disabled{opacity:.5;cursor:default}
section>.note{margin-top:12px}
.curtain{position:fixed;inset:0;display:flex;align-items:center;justify-content:center;background:rgba(31,35,40,.45)}
.modal{width:min(520px,92vw);max-height:88vh;overflow:auto;padding:20px 24px;border-radius:10px;background:#fff;box-shadow:0 12px 40px rgba(0,0,0,.25)}
.modal footer{display:flex;align-items:center;justify-content:flex-end;gap:8px;margin-top:16px}
.write{display:flex;gap:8px;max-width:620px;margin-top:8px}
.rich ul,.rich ol{padding-left:24px}
@media(max-width:700px){body{display:block}nav{width:auto;border-right:0;border-bottom:1px solid #e6e3ea}main{padding:16px}.fields{grid-template-columns:1fr}}
";
